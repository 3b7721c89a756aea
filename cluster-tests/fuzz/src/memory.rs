//! Counts what the process has allocated, so that a target can say how much a piece of work may take. Counts all
//! threads together: it is for work that runs on one.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn grown(octets: usize) {
    let now = NOW.fetch_add(octets, Ordering::Relaxed) + octets;
    PEAK.fetch_max(now, Ordering::Relaxed);
}

fn shrunk(octets: usize) {
    NOW.fetch_sub(octets, Ordering::Relaxed);
}

// SAFETY: every call goes to the system's allocator as it is; counting touches no memory of the caller.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: as this function's caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: as this function's caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, octets: *mut u8, layout: Layout) {
        shrunk(layout.size());
        // SAFETY: as this function's caller promises.
        unsafe { System.dealloc(octets, layout) }
    }

    unsafe fn realloc(&self, octets: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        grown(size);
        shrunk(layout.size());
        // SAFETY: as this function's caller promises.
        unsafe { System.realloc(octets, layout, size) }
    }
}

/// Does the work, which may take so many octets more than are in use now, and panics if it took more.
pub fn bounded<T>(octets: usize, work: impl FnOnce() -> T) -> T {
    let before = NOW.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let done = work();
    let taken = PEAK.load(Ordering::Relaxed).saturating_sub(before);
    assert!(taken <= octets, "took {taken} octets of memory, {octets} at most were expected");
    done
}

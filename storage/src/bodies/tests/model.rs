//! Bodies put, shared, dropped, packed and collected in any order: what has an owner reads, what has none goes.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{House, config, noise, owner, read_whole};
use crate::bodies::BodiesConfig;
use crate::types::BodyId;

#[derive(Debug, Clone)]
enum Step {
    Put { length: usize },
    Share { body: prop::sample::Index },
    Drop { reference: prop::sample::Index },
    Pack,
    Collect,
    Verify,
}

fn step() -> impl Strategy<Value = Step> {
    let length = prop_oneof![4 => 0..20_000usize, 1 => 80_000..200_000usize, 1 => 256_000..400_000usize];
    prop_oneof![
        5 => length.prop_map(|length| Step::Put { length }),
        2 => any::<prop::sample::Index>().prop_map(|body| Step::Share { body }),
        4 => any::<prop::sample::Index>().prop_map(|reference| Step::Drop { reference }),
        2 => Just(Step::Pack),
        2 => Just(Step::Collect),
        1 => Just(Step::Verify),
    ]
}

#[derive(Default)]
struct Model {
    bodies: BTreeMap<BodyId, Vec<u8>>,
    references: BTreeSet<(BodyId, u32)>,
    next: u32,
}

impl Model {
    async fn run(&mut self, house: &House, step: Step) {
        self.next += 1;
        match step {
            Step::Put { length } => {
                let octets = noise(u64::from(self.next), length);
                let id = house.put(&octets, owner(self.next)).await;
                self.bodies.insert(id, octets);
                self.references.insert((id, self.next));
            }
            Step::Share { body } => {
                let Some((id, _)) = self.picked(body) else { return };
                let shared = house.db.run(async |tx| {
                    house.bodies.add_reference(tx, id, owner(self.next));
                    Ok(())
                });
                shared.await.expect("committed");
                self.references.insert((id, self.next));
            }
            Step::Drop { reference } => {
                let Some((id, uid)) = self.picked(reference) else { return };
                house.drop_reference(id, owner(uid)).await;
                self.references.remove(&(id, uid));
            }
            Step::Pack => drop(house.bodies.pack_once().await.expect("packs")),
            Step::Collect => drop(house.bodies.collect_once().await.expect("collects")),
            Step::Verify => assert_eq!(house.verify().await, []),
        }
    }

    fn picked(&self, index: prop::sample::Index) -> Option<(BodyId, u32)> {
        let count = self.references.len();
        (count > 0).then(|| *self.references.iter().nth(index.index(count)).expect("one of them"))
    }

    async fn check(&self, house: &House) {
        house.settle().await;
        assert_eq!(house.verify().await, []);
        let bodies = house.reopened().await;
        for (id, octets) in &self.bodies {
            let opened = bodies.open_body(*id).await;
            if self.references.iter().any(|(body, _)| body == id) {
                assert!(read_whole(&opened.expect("opens")).await.expect("reads") == *octets);
            } else {
                assert!(matches!(opened.err(), Some(crate::Error::NotFound(_))));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn what_has_an_owner_reads_and_what_has_none_goes(
        steps in proptest::collection::vec(step(), 1..40), on_disk: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let config = BodiesConfig { segment_octets: 50_000, ..config() };
            let house = if on_disk { House::on_disk(config).await } else { House::with(config).await };
            let mut model = Model::default();
            for step in steps {
                model.run(&house, step).await;
            }
            model.check(&house).await;
            for (id, uid) in std::mem::take(&mut model.references) {
                house.drop_reference(id, owner(uid)).await;
            }
            model.check(&house).await;
            assert_eq!(house.files().len(), 0);
        });
    }
}

//! The `sterna` binary: reads the command line, and either runs the server or asks it.

use std::process::ExitCode;

use clap::Parser;
use sterna_node::assemble::Node;
use sterna_node::cli::{self, Arguments, Command, Place};
use sterna_node::{demo, limits, telemetry};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let Arguments { place, command } = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => {
            let result = runtime.block_on(run(place, command));
            // All that must end has ended: a name that nobody resolves holds nothing up.
            runtime.shutdown_timeout(limits::LAST_TASKS_WAIT);
            result
        }
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            cli::complain(&error);
            ExitCode::FAILURE
        }
    }
}

async fn run(place: Place, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Serve => serve(&place).await,
        Command::Demo(arguments) => demo::run(arguments).await,
        command => cli::run(&place, command).await,
    }
}

/// Configuration, logging, stores and ports, serving, and the end.
async fn serve(place: &Place) -> anyhow::Result<()> {
    let config = place.configuration()?;
    telemetry::start(&config.log)?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), host = %config.host_name(), "starting");
    let node = Node::start(&config).await?;
    tracing::info!("ready");
    node.run().await;
    Ok(())
}

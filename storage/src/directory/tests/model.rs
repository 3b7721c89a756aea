//! A naive directory in memory, and random commands on both.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::fixture::*;

/// What a local part of the one domain is.
#[derive(Debug, Clone)]
enum Entry {
    Account { forward: Vec<u8>, keep_copy: bool },
    Alias(Vec<u8>),
}

#[derive(Debug, Clone)]
enum Command {
    CreateAccount(u8),
    DeleteAccount(u8),
    Forward(u8, Vec<u8>, bool),
    CreateAlias(u8, Vec<u8>),
    DeleteAlias(u8),
}

/// Local parts are `0` to `7`; 6 and 7 are taken to be elsewhere.
fn local(number: u8) -> Address {
    match number {
        6.. => address(&format!("{number}@else.example")),
        _ => address(&format!("{number}@a.example")),
    }
}

fn command() -> impl Strategy<Value = Command> {
    let targets = || proptest::collection::vec(0..8u8, 1..4);
    prop_oneof![
        (0..6u8).prop_map(Command::CreateAccount),
        (0..6u8).prop_map(Command::DeleteAccount),
        (0..6u8, targets(), any::<bool>()).prop_map(|(at, to, keep)| Command::Forward(at, to, keep)),
        (0..6u8, targets()).prop_map(|(at, to)| Command::CreateAlias(at, to)),
        (0..6u8).prop_map(Command::DeleteAlias),
    ]
}

#[derive(Default)]
struct Model(BTreeMap<u8, Entry>);

impl Model {
    /// Whether the command is possible; then it is done.
    fn apply(&mut self, command: &Command) -> bool {
        let is_account = |entry: Option<&Entry>| matches!(entry, Some(Entry::Account { .. }));
        match command.clone() {
            Command::CreateAccount(at) if !self.0.contains_key(&at) => {
                self.0.insert(at, Entry::Account { forward: Vec::new(), keep_copy: true });
            }
            Command::CreateAlias(at, to) if !self.0.contains_key(&at) && !to.contains(&at) => {
                self.0.insert(at, Entry::Alias(to));
            }
            Command::DeleteAccount(at) if is_account(self.0.get(&at)) => {
                self.0.remove(&at);
            }
            Command::DeleteAlias(at) if matches!(self.0.get(&at), Some(Entry::Alias(_))) => {
                self.0.remove(&at);
            }
            Command::Forward(at, forward, keep_copy)
                if is_account(self.0.get(&at)) && !forward.contains(&at) =>
            {
                self.0.insert(at, Entry::Account { forward, keep_copy });
            }
            _ => return false,
        }
        true
    }

    fn next(&self, at: u8) -> &[u8] {
        match self.0.get(&at) {
            Some(Entry::Account { forward, .. }) => forward,
            Some(Entry::Alias(to)) => to,
            None => &[],
        }
    }

    fn reachable(&self, from: u8) -> BTreeSet<u8> {
        let mut seen = BTreeSet::from([from]);
        loop {
            let more: BTreeSet<u8> = seen.iter().flat_map(|at| self.next(*at)).copied().collect();
            if more.is_subset(&seen) {
                return seen;
            }
            seen.extend(more);
        }
    }

    /// Whether mail to it arrives at itself.
    fn keeps(&self, at: u8) -> bool {
        at >= 6
            || matches!(self.0.get(&at), Some(Entry::Account { forward, keep_copy })
                if *keep_copy || forward.is_empty())
    }

    fn recipients(&self, to: u8) -> String {
        let stranded = |at: u8| {
            matches!(self.0.get(&at), Some(Entry::Account { .. }))
                && !self.reachable(at).iter().any(|at| self.keeps(*at))
        };
        let reached = self.reachable(to).into_iter().filter(|at| self.keeps(*at) || stranded(*at));
        let mut all: Vec<String> = reached
            .map(|at| if at >= 6 { format!(">{}", local(at)) } else { local(at).to_string() })
            .collect();
        all.sort();
        if all.is_empty() { "unknown".into() } else { all.join(" ") }
    }
}

async fn apply(directory: &Directory, command: &Command) -> bool {
    let targets = |to: &[u8]| to.iter().map(|to| local(*to)).collect::<Vec<_>>();
    let id = async |at: u8| {
        let account = directory.account_by_address(&local(at)).await.expect("reads");
        account.map(|account| account.id)
    };
    match command {
        Command::CreateAccount(at) => {
            directory.create_account(NewAccount::at(local(*at)), async |_, _| Ok(())).await.is_ok()
        }
        Command::DeleteAccount(at) => match id(*at).await {
            Some(id) => directory.delete_account(id).await.is_ok(),
            None => false,
        },
        Command::Forward(at, to, keep_copy) => match id(*at).await {
            Some(id) => {
                let update = |account: &mut Account| {
                    (account.forward, account.keep_copy) = (targets(to), *keep_copy);
                    Ok(())
                };
                directory.update_account(id, update).await.is_ok()
            }
            None => false,
        },
        Command::CreateAlias(at, to) => {
            directory.create_alias(&Alias { address: local(*at), targets: targets(to) }).await.is_ok()
        }
        Command::DeleteAlias(at) => directory.delete_alias(&local(*at)).await.is_ok(),
    }
}

async fn agree(commands: Vec<Command>) -> Result<(), TestCaseError> {
    let (directory, _) = empty().await;
    directory.create_domain(NewDomain::named(name("a.example"))).await.expect("made");
    let mut model = Model::default();
    for command in &commands {
        prop_assert_eq!(apply(&directory, command).await, model.apply(command), "{:?}", command);
        for at in 0..6 {
            let found = recipients(&directory, local(at).to_string().as_str()).await;
            prop_assert_eq!(found, model.recipients(at), "{} after {:?}", at, command);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_directory_agrees_with_the_model(commands in proptest::collection::vec(command(), 1..30)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
        runtime.block_on(agree(commands))?;
    }
}

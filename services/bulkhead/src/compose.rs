//! Holds `deploy/compose/docker-compose.yaml` against the tables of this executable: the same
//! processes, users and capabilities, whoever starts them. Tests only.

use crate::{bus_server, privileges::capabilities, process::Process};
use rustix::thread::CapabilitySet;
use serde_yaml_ng::Value;
use std::collections::BTreeSet;

/// What `enter` needs in order to become somebody else.
const TO_ENTER: [&str; 3] = ["SETGID", "SETPCAP", "SETUID"];
/// Services of the file that are no process of a node.
const OTHERS: [&str; 2] = ["bus-config", "jaeger"];

fn services() -> Value {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/compose/docker-compose.yaml");
    let mut tree: Value = serde_yaml_ng::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    tree.apply_merge().unwrap();
    tree["services"].clone()
}

fn words(value: &Value) -> Vec<&str> {
    value.as_sequence().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn names(set: CapabilitySet) -> BTreeSet<String> {
    set.iter_names().map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn every_process_is_a_service_of_its_name() {
    let services = services();
    let present: BTreeSet<&str> = services.as_mapping().unwrap().keys().filter_map(Value::as_str).collect();
    assert_eq!(present, Process::all().map(Process::name).chain(OTHERS).collect());
}

#[test]
fn every_process_runs_by_its_sub_command() {
    let services = services();
    for process in Process::all().filter(|process| *process != Process::Bus) {
        let command = words(&services[process.name()]["command"]);
        let run =
            command.iter().position(|word| *word == "run").unwrap_or_else(|| panic!("{process} is not run"));
        assert_eq!(command[run + 1], process.name());
    }
}

#[test]
fn users_and_capabilities_are_those_that_the_supervisor_gives() {
    let services = services();
    for process in Process::all() {
        let service = &services[process.name()];
        let (identity, wanted) = (process.identity(), names(capabilities(process, false)));
        let given: BTreeSet<String> = words(&service["cap_add"]).into_iter().map(str::to_owned).collect();
        assert_eq!(words(&service["cap_drop"]), ["ALL"], "{process}");
        if words(&service["command"]).contains(&"enter") {
            assert!(identity.uid != 0 && !wanted.is_empty(), "{process} need not be entered");
            let to_enter = TO_ENTER.map(str::to_owned).into();
            assert_eq!(given, wanted.union(&to_enter).cloned().collect(), "{process}");
            continue;
        }
        assert_eq!(given, wanted, "{process}");
        let user = service["user"].as_str().unwrap_or("0:0").to_owned();
        assert_eq!(user, format!("{}:{}", identity.uid, identity.gid), "{process}");
    }
}

#[test]
fn the_bus_server_is_told_what_the_supervisor_tells_it() {
    let environment = &services()["nats-server"]["environment"];
    for (name, value) in bus_server::environment() {
        assert_eq!(environment[name].as_str(), Some(value), "{name}");
    }
}

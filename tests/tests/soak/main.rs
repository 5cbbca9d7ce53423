//! Processes are killed at random, one by one and all together, while pods come and go. Meanwhile nobody notices on
//! the pods that stay; afterwards every view of the node's pods is the same, and when the others have gone nothing of
//! them is left on the machine.
//!
//! `SOAK=long` lasts five minutes and `SOAK=<seconds>` so long; otherwise it is half a minute. `SOAK_SEED=<number>`
//! makes the choices of an earlier run again, though not its moments.

mod churn;
mod killing;

use std::env;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use churn::Churn;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use tests::kubelet::Flavour;
use tests::ward::Ward;
use tests::{belongings, census, wait};

/// How long the node may take to be calm after the last kill: a process that was killed again and again waits for up
/// to ten seconds, and a container that keeps ending for longer.
const CALM: Duration = Duration::from_secs(90);
/// Pauses between deeds, in milliseconds.
const PAUSES: std::ops::Range<u64> = 100..1500;

fn length() -> Result<Duration> {
    let seconds = match env::var("SOAK").as_deref() {
        Err(_) | Ok("") => 30,
        Ok("long") => 300,
        Ok(seconds) => seconds.parse().context("SOAK is neither `long` nor a number of seconds")?,
    };
    Ok(Duration::from_secs(seconds))
}

fn seed() -> Result<u64> {
    match env::var("SOAK_SEED") {
        Ok(seed) => seed.parse().context("SOAK_SEED is no number"),
        Err(_) => Ok(rand::rng().random()),
    }
}

#[test]
fn nobody_notices_kills_at_random_and_nothing_is_left_behind() -> Result<()> {
    let (length, seed) = (length()?, seed()?);
    eprintln!("soaking for {length:?} with SOAK_SEED={seed}");
    Ward::play(&[Flavour::Ours], |ward| {
        let before = belongings::of(&ward.node)?;
        let mut churn = Churn::begin(ward)?;
        soak(ward, &mut churn, length, StdRng::seed_from_u64(seed))
            .with_context(|| format!("SOAK_SEED={seed}"))?;
        churn.settle(ward)?;
        wait::until("every process", CALM, || all_are_ready(ward))?;
        let running =
            wait::until("the same view everywhere", CALM, || census::compare(&ward.plane, &ward.node))?;
        eprintln!("{running} pods run at the end");
        churn.end(ward)?;
        wait::until("nothing left behind", CALM, || {
            belongings::compare(&before, &belongings::of(&ward.node)?)
        })?;
        ward.undisturbed()
    })
}

fn soak(ward: &mut Ward, churn: &mut Churn, length: Duration, mut dice: StdRng) -> Result<()> {
    let end = Instant::now() + length;
    while Instant::now() < end {
        if dice.random_bool(0.5) {
            churn.turn(ward, &mut dice)?;
        } else {
            killing::kill(ward, &mut dice)?;
        }
        if let Some(disturbance) = ward.vigil.disturbance() {
            anyhow::bail!("{disturbance}");
        }
        // Not for anything to happen: the pace of the faults.
        sleep(Duration::from_millis(dice.random_range(PAUSES)));
    }
    Ok(())
}

fn all_are_ready(ward: &Ward) -> Result<()> {
    let status: Value = serde_json::from_str(&ward.node.ask_bulkhead(&["status", "--output", "json"])?)?;
    let processes = status["processes"].as_array().context("a status without processes")?;
    let other = processes.iter().find(|process| process["health"] != "ready");
    ensure!(other.is_none(), "one is not ready: {other:?}");
    Ok(())
}

//! The gateway dies and comes back, and its clients do not notice.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value as Json, json};
use tidegate_tests::stage::{Stage, psk, setup};
use tidegate_tests::{Channel, PATIENCE, Profile, Secure, code_text, request};

#[test]
fn a_thousand_associations_go_on_after_a_kill() -> Result<()> {
    let mut setup = setup(&json!({ "psk": credentials() }));
    setup.log = "info,tidegate::app=debug";
    let mut stage = Stage::set(&setup)?;
    let associations = connect(&stage)?;
    stage.gateway.process().said_times(&[ESTABLISHED], CLIENTS)?;
    // An association is kept once at its beginning, and nothing has been sent on any.
    stage.gateway.process().said_all("associations on the disk", |lines| {
        let changes =
            lines.iter().filter_map(|line| line.split_once("durable changes=")?.1.parse::<usize>().ok());
        changes.sum::<usize>() >= CLIENTS
    })?;
    stage.gateway.kill_and_restart()?;
    all_go_on(&mut stage, &associations)?;
    // And again: nobody has an answer before what is kept of the association is durable anew. A client with a connection
    // ID may be somewhere else by now; one without must be where it was.
    stage.gateway.kill_and_restart()?;
    for association in associations.iter().filter(|association| association.has_connection_id()) {
        association.rebind()?;
    }
    all_go_on(&mut stage, &associations)?;
    stage.gateway.terminate_and_restart()?;
    all_go_on(&mut stage, &associations)
}

/// All have an answer, and none of them by a handshake.
fn all_go_on(stage: &mut Stage, associations: &[Secure]) -> Result<()> {
    let answered = answered(associations)?;
    ensure!(answered == CLIENTS, "{answered} of {CLIENTS} go on");
    ensure!(stage.gateway.process().times_said(&[ESTABLISHED]) == 0);
    Ok(())
}

#[test]
fn no_association_goes_on_after_a_kill_when_none_are_kept() -> Result<()> {
    let mut setup = setup(&json!({ "psk": credentials() }));
    setup.store = json!({ "associations": false });
    let mut stage = Stage::set(&setup)?;
    let profiles = [false, true].map(|cid| profile(0).with_connection_id(cid));
    let mut associations = Vec::new();
    for profile in &profiles {
        associations.push(Secure::connect(stage.gateway.dtls(), profile)?);
        ensure!(is_answered(&associations[associations.len() - 1], 1)?);
    }
    stage.gateway.kill_and_restart()?;
    for association in &associations {
        association.send(&ping(2)?)?;
    }
    // What comes later has an answer, so the gateway has seen those, and passed them over.
    ensure!(is_answered(&Secure::connect(stage.gateway.dtls(), &profile(1))?, 1)?);
    for association in &associations {
        ensure!(association.receive_now()?.is_none());
    }
    Ok(())
}

/// Clients with associations, every other one with a connection ID.
fn connect(stage: &Stage) -> Result<Vec<Secure>> {
    let gateway = stage.gateway.dtls();
    let parts = std::thread::scope(|scope| {
        let connecting: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn(move || {
                    (thread..CLIENTS)
                        .step_by(THREADS)
                        .map(|number| Secure::connect(gateway, &profile(number)))
                        .collect::<Result<Vec<_>>>()
                })
            })
            .collect();
        connecting.into_iter().map(|part| part.join().expect("it does not panic")).collect::<Result<Vec<_>>>()
    })?;
    let associations: Vec<_> = parts.into_iter().flatten().collect();
    let with = associations.iter().filter(|association| association.has_connection_id()).count();
    ensure!(associations.len() == CLIENTS && with == CLIENTS / 2);
    Ok(associations)
}

/// How many have an answer on their association.
fn answered(associations: &[Secure]) -> Result<usize> {
    // Not all at once: a socket's buffer is bounded.
    let mut answered = 0;
    let deadline = Instant::now() + PATIENCE;
    for some in associations.chunks(CHUNK) {
        for association in some {
            association.send(&ping(7)?)?;
        }
        for association in some {
            let left = deadline.saturating_duration_since(Instant::now());
            answered += usize::from(has_answer(association, 7, left)?);
        }
    }
    Ok(answered)
}

fn is_answered(association: &Secure, mid: u16) -> Result<bool> {
    association.send(&ping(mid)?)?;
    has_answer(association, mid, PATIENCE)
}

/// Whether a confirmable request is answered.
fn has_answer(association: &Secure, mid: u16, patience: Duration) -> Result<bool> {
    let Some(answer) = association.receive_within(patience)? else { return Ok(false) };
    let answer = coap_lite::Packet::from_bytes(&answer).map_err(|error| anyhow::anyhow!("{error:?}"))?;
    ensure!(answer.header.message_id == mid, "{answer:?}");
    Ok(code_text(&answer) == "2.05")
}

fn ping(mid: u16) -> Result<Vec<u8>> {
    let packet = request("0.01", mid, &mid.to_be_bytes(), ".well-known/core", &[]);
    packet.to_bytes().map_err(|error| anyhow::anyhow!("{error:?}"))
}

fn profile(number: usize) -> Profile {
    Profile::psk(&name(number), name(number).as_bytes()).with_connection_id(number % 2 == 1)
}

fn credentials() -> Vec<Json> {
    (0..CLIENTS).map(|number| psk(&name(number), name(number).as_bytes())).collect()
}

fn name(number: usize) -> String {
    format!("urn:dev:os:restart-{number:06}")
}

const ESTABLISHED: &str = "DTLS association established";
const CLIENTS: usize = 1000;
const THREADS: usize = 8;
/// How many ask before the first is listened to.
const CHUNK: usize = 50;

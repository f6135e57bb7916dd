//! The disk is full, or has lost or changed what was written: the gateway goes on, and says what it has lost.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use coap_lite::MessageType;
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tidegate_tests::load::{Scene, arrived};
use tidegate_tests::{Device, Mosquitto, PATIENCE, Value, report, skipped};

#[test]
fn a_disk_that_fills_up_under_load_costs_nothing_while_the_gateway_runs() -> Result<()> {
    let disk = match Disk::mount("4m") {
        Ok(disk) => disk,
        Err(why) => {
            skipped(&why.to_string());
            return Ok(());
        }
    };
    let mut scene = Scene::set_with(3, Mosquitto::start()?, |setup| {
        setup.store = json!({ "path": disk.path() });
    })?;
    let load = scene.load()?;
    scene.arrived_more(50)?;
    disk.fill()?;
    scene.relay.cut();
    let degraded = scene.gateway.status("degraded", |status| status["outbox"]["degraded"] == true)?;
    ensure!(degraded["outbox"]["lost"] == 0 && degraded["outbox"]["dropped"] == 0, "{degraded}");
    scene.gateway.watch().said(&["ERROR", "outbox"])?;
    // Devices are answered all the same, and new ones as well.
    load.acknowledged_more(200)?;
    let mut late = Device::new(scene.gateway.coap(), "late")?;
    late.register()?;
    scene.relay.mend();
    scene.arrived_more(200)?;
    disk.free()?;
    scene.gateway.status("on the disk again", |status| status["outbox"]["degraded"] == false)?;
    scene.gateway.watch().said(&["the outbox is on the disk again"])?;
    // Also what waits now survives: it is on the disk.
    scene.relay.cut();
    load.acknowledged_more(100)?;
    scene.gateway.kill_and_restart()?;
    load.acknowledged_more(20)?;
    scene.relay.mend();
    scene.judge(&load.stop()?)
}

#[test]
fn a_database_that_is_cut_off_or_changed_anywhere_never_keeps_the_gateway_from_its_work() -> Result<()> {
    let mut random = Random(7);
    for round in 0..8 {
        let mut scene = Scene::set(1)?;
        scene.gateway.process().kill()?;
        let database = scene.gateway.folder().join("data/tidegate.redb");
        let what = random.damage(&database, round % 2 == 0)?;
        scene.gateway.kill_and_restart().context(what.clone())?;
        let said = scene.gateway.watch().times_said(&["ERROR", "set aside", "tidegate.redb.damaged-"]);
        let aside = names(&scene.gateway.folder().join("data"))?;
        let aside = aside.iter().filter(|name| name.starts_with("tidegate.redb.damaged-")).count();
        report(&format!("{what}: {}", if said == 0 { "did no harm" } else { "set aside" }));
        ensure!(said == aside, "what is set aside is told of, and nothing else: {what}");
        ensure!(said == 1 || round % 2 == 1, "a database that is cut off is set aside: {what}");
        let mut device = Device::new(scene.gateway.coap(), "new")?;
        device.register().context(what.clone())?;
        scene.application.of_type("observe")?;
        for number in 1..=3 {
            notify(&device, number).context(what.clone())?;
        }
        arrive(&scene, "new", &[1, 2, 3]).context(what)?;
    }
    Ok(())
}

#[test]
fn what_stands_before_a_damage_in_the_outbox_arrives_and_the_rest_is_counted() -> Result<()> {
    let mut random = Random(11);
    for round in 0..8 {
        let cuts_off = round % 2 == 0;
        // One log, so that the order in it is that of the numbers.
        let mut scene = Scene::set_with(0, Mosquitto::start()?, |setup| setup.shards = 1)?;
        let mut device = Device::new(scene.gateway.coap(), "sensor")?;
        device.register()?;
        scene.application.of_type("observe")?;
        scene.settle()?;
        scene.gateway.status("empty", |status| status["outbox"]["waiting"] == 0)?;
        scene.relay.cut();
        scene.gateway.watch().said(&["no connection to the MQTT broker"])?;
        let folder = scene.gateway.folder().join("data/outbox/shard-0");
        let segment = segments(&folder)?.pop().context("a segment")?;
        let begin = fs::metadata(&segment)?.len();
        let mut ends = Vec::new();
        for number in 1..=40 {
            notify(&device, number)?;
            // It is acknowledged, so it is there.
            ends.push(fs::metadata(&segment)?.len());
        }
        scene.gateway.process().kill()?;
        let end = *ends.last().context("40 of them")?;
        ensure!(begin < end && ends.is_sorted() && segments(&folder)?.len() == 1, "{ends:?} in one file");
        let at = begin + random.next() % (end - begin);
        let mut bytes = fs::read(&segment)?;
        match cuts_off {
            true => bytes.truncate(usize::try_from(at)?),
            false => bytes[usize::try_from(at)?] ^= 1 << (random.next() % 8),
        }
        fs::write(&segment, bytes)?;
        let intact = i64::try_from(ends.iter().filter(|end| **end <= at).count())?;
        let what = format!("{} at {at} of {begin} to {end}", if cuts_off { "cut off" } else { "changed" });
        scene.gateway.kill_and_restart().context(what.clone())?;
        // The end of a file that ends with a whole record is nothing that anybody can see.
        if !(cuts_off && ends.iter().chain([&begin]).any(|end| *end == at)) {
            scene
                .gateway
                .watch()
                .said(&["ERROR", "part of the outbox cannot be read"])
                .context(what.clone())?;
            let is_counted = |status: &Json| status["outbox"]["damaged-files"] == 1;
            scene.gateway.status("the damage", is_counted).context(what.clone())?;
        }
        scene.relay.mend();
        // What comes now is as safe as ever.
        for number in 41..=43 {
            notify(&device, number).context(what.clone())?;
        }
        let expected: Vec<i64> = (1..=intact).chain(41..=43).collect();
        arrive(&scene, "sensor", &expected).context(what.clone())?;
        report(&format!("{what}: {intact} of 40 were before it"));
    }
    Ok(())
}

/// Exactly these numbers arrive, in this order.
fn arrive(scene: &Scene, endpoint: &str, numbers: &[i64]) -> Result<()> {
    let inbox = scene.application.inbox();
    let last = numbers.last();
    inbox.wait_until(PATIENCE, |messages| {
        arrived(messages).get(endpoint).and_then(|them| them.last()) == last
    });
    let mut arrived = arrived(&inbox.all()).remove(endpoint).unwrap_or_default();
    arrived.dedup();
    ensure!(arrived == numbers, "{endpoint}: {arrived:?} instead of {numbers:?}");
    Ok(())
}

/// A notification with this number, and its acknowledgement.
fn notify(device: &Device, number: i64) -> Result<()> {
    device.set("/3/0/9", Value::Integer(number))?;
    let sent = device.notify("/3/0", MessageType::Confirmable)?;
    device.acknowledged(&sent)?;
    Ok(())
}

fn segments(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut segments: Vec<PathBuf> = names(folder)?.iter().map(|name| folder.join(name)).collect();
    segments.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    segments.sort();
    Ok(segments)
}

fn names(folder: &Path) -> Result<Vec<String>> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

/// The same numbers each time.
struct Random(u64);

impl Random {
    /// Numerical Recipes' linear congruential generator; its upper bits are the better ones.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    /// Cuts a file off, or changes one bit of it. Says where.
    fn damage(&mut self, file: &Path, cuts_off: bool) -> Result<String> {
        let mut bytes = fs::read(file)?;
        let at = usize::try_from(self.next())? % bytes.len();
        let length = bytes.len();
        match cuts_off {
            true => bytes.truncate(at),
            false => bytes[at] ^= 1 << (self.next() % 8),
        }
        fs::write(file, bytes)?;
        Ok(format!("{} at {at} of {length}", if cuts_off { "cut off" } else { "changed" }))
    }
}

/// A small file system of its own.
struct Disk {
    folder: TempDir,
}

impl Disk {
    fn mount(size: &str) -> Result<Self> {
        let folder = TempDir::new()?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(folder.path());
        let output = mount.output().context("mount")?;
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "no file system can be mounted here: {}", why.trim());
        Ok(Self { folder })
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn ballast(&self) -> PathBuf {
        self.folder.path().join("ballast")
    }

    /// Until nothing more fits.
    fn fill(&self) -> Result<()> {
        use std::io::Write as _;
        let mut file = fs::File::create(self.ballast())?;
        let error = loop {
            if let Err(error) = file.write_all(&[1; 4096]) {
                break error;
            }
        };
        ensure!(error.kind() == std::io::ErrorKind::StorageFull, "{error}");
        Ok(())
    }

    /// There is room again.
    fn free(&self) -> Result<()> {
        Ok(fs::remove_file(self.ballast())?)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // At once for those who look, and in earnest when the gateway is gone.
        let _ = Command::new("umount").arg("-l").arg(self.folder.path()).status();
    }
}

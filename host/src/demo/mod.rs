//! `tidegate demo`: the gateway, the broker in the box and a simulated client in one process.
//!
//! 1. the gateway starts;
//! 2. something like an application listens to every topic;
//! 3. a client called `testlwm2mclient` registers, and the gateway observes it;
//! 4. the application reads the firmware version;
//! 5. the client goes on notifying.

pub(crate) mod client;

use std::io::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use rumqttc::{AsyncClient, Event, Incoming, MqttOptions, QoS};
use tokio::sync::mpsc;

use crate::app::{self, Gateway};
use crate::cli::DemoOptions;
use crate::config::Config;

/// Show the gateway at work, until Ctrl-C or, with `exit_after_read`, until the answer to the read has come.
pub async fn run(options: DemoOptions) -> anyhow::Result<()> {
    let mut config = Config::default();
    config.coap.listen = vec![options.coap];
    config.mqtt.embedded.listen = vec![options.mqtt];
    config.http.listen.clear();
    config.store.path = None;
    let gateway = Gateway::start(&config).await?;
    let coap = *gateway.coap().first().context("the gateway listens nowhere")?;
    println!("gateway: CoAP on {coap} (udp), MQTT broker on {}", gateway.broker());
    let (application, messages) = listen(gateway.broker()).await?;
    let client = client::Client::register(coap, ENDPOINT).context("the simulated client cannot start")?;
    let outcome = tokio::select! {
        shown = show(&application, messages, options.exit_after_read) => shown,
        signal = app::stop_signal() => signal.map(|_| ()),
    };
    client.stop();
    gateway.stop().await;
    outcome
}

/// An MQTT client that listens to everything.
async fn listen(broker: &str) -> anyhow::Result<(AsyncClient, mpsc::Receiver<(String, Vec<u8>)>)> {
    let (host, port) =
        broker.split(',').next().and_then(|first| first.rsplit_once(':')).context("no broker address")?;
    let mut options = MqttOptions::new("demo-application", host, port.parse::<u16>()?);
    options.set_keep_alive(Duration::from_secs(30));
    let (client, mut connection) = AsyncClient::new(options, 64);
    client.subscribe("#", QoS::AtMostOnce).await?;
    let (sender, receiver) = mpsc::channel(256);
    let (ready, subscribed) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let mut ready = Some(ready);
        loop {
            match connection.poll().await {
                Ok(Event::Incoming(Incoming::SubAck(_))) => {
                    if let Some(ready) = ready.take() {
                        // Nobody waits any more if the demo is over.
                        let _ = ready.send(());
                    }
                }
                Ok(Event::Incoming(Incoming::Publish(message))) => {
                    if sender.send((message.topic, message.payload.to_vec())).await.is_err() {
                        return;
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(%error, "the demo's application lost its broker");
                    return;
                }
            }
        }
    });
    subscribed.await.context("the broker does not take subscriptions")?;
    Ok((client, receiver))
}

async fn show(
    application: &AsyncClient,
    mut messages: mpsc::Receiver<(String, Vec<u8>)>,
    exit_after_read: bool,
) -> anyhow::Result<()> {
    let mut has_asked = false;
    while let Some((topic, payload)) = messages.recv().await {
        // What the gateway says about itself is not what the demo is about.
        if topic.starts_with("tidegate/") {
            continue;
        }
        let text = String::from_utf8_lossy(&payload).into_owned();
        let mut out = std::io::stdout().lock();
        writeln!(out, "{topic} {text}")?;
        out.flush()?;
        drop(out);
        if !has_asked && text.contains(r#""msgType":"observe""#) {
            has_asked = true;
            application.publish(format!("dn/{ENDPOINT}"), QoS::AtMostOnce, false, READ).await?;
        } else if exit_after_read && text.contains(r#""msgType":"read""#) && topic == "up/resp" {
            return Ok(());
        }
    }
    anyhow::bail!("the broker is gone")
}

const ENDPOINT: &str = "testlwm2mclient";
const READ: &str = r#"{"msgType":"read","data":{"path":"/3/0/3"}}"#;

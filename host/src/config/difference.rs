//! What of a changed file cannot take effect while the gateway runs.

use super::{Coap, Config, Dtls, Embedded, Http, Models, Mqtt, Outbox, Plugins, Registration, Store};

impl Config {
    /// The keys in which another configuration differs and that are read at the start only, in the order of the file.
    /// Translators, routes and the limits of `[plugins]` are not among them: they apply at once.
    pub fn needs_restart(&self, other: &Self) -> Vec<&'static str> {
        // Taken apart, so that a new key is not forgotten here.
        let Self { coap, dtls, mqtt, http, store, registration, models, plugins, .. } = self;
        let Coap { listen, shards, block_size, rate_limit_source, rate_limit } = coap;
        let coap = [
            ("coap.listen", *listen != other.coap.listen),
            ("coap.shards", *shards != other.coap.shards),
            ("coap.block-size", *block_size != other.coap.block_size),
            ("coap.rate-limit-source", *rate_limit_source != other.coap.rate_limit_source),
            ("coap.rate-limit", *rate_limit != other.coap.rate_limit),
        ];
        let Http { listen, tokens, certificate, max_body } = http;
        let http = [
            ("http.listen", *listen != other.http.listen),
            ("http.tokens", *tokens != other.http.tokens),
            ("http.certificate", *certificate != other.http.certificate),
            ("http.max-body", *max_body != other.http.max_body),
        ];
        let Store { path, associations } = store;
        let store = [
            ("store.path", *path != other.store.path),
            ("store.associations", *associations != other.store.associations),
        ];
        let Registration { lifetime_min, lifetime_max, awake_window, max_registrations } = registration;
        let registration = [
            ("registration.lifetime-min", *lifetime_min != other.registration.lifetime_min),
            ("registration.lifetime-max", *lifetime_max != other.registration.lifetime_max),
            ("registration.awake-window", *awake_window != other.registration.awake_window),
            ("registration.max-registrations", *max_registrations != other.registration.max_registrations),
        ];
        let Models { directory } = models;
        let models = ("models.directory", *directory != other.models.directory);
        let Plugins { directory, limits: _ } = plugins;
        let plugins = ("plugins.directory", *directory != other.plugins.directory);
        let all = coap.into_iter().chain(dtls_differences(dtls, &other.dtls));
        let all = all.chain(mqtt_differences(mqtt, &other.mqtt)).chain(http).chain(store);
        let all = all.chain(registration).chain([models, plugins]);
        all.filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
    }
}

fn dtls_differences(of: &Dtls, other: &Dtls) -> [(&'static str, bool); 7] {
    let Dtls { listen, credentials, connection_id, max_associations, handshake_timeout, retransmission, mtu } =
        of;
    [
        ("dtls.listen", *listen != other.listen),
        ("dtls.credentials", *credentials != other.credentials),
        ("dtls.connection-id", *connection_id != other.connection_id),
        ("dtls.max-associations", *max_associations != other.max_associations),
        ("dtls.handshake-timeout", *handshake_timeout != other.handshake_timeout),
        ("dtls.retransmission", *retransmission != other.retransmission),
        ("dtls.mtu", *mtu != other.mtu),
    ]
}

fn mqtt_differences(of: &Mqtt, other: &Mqtt) -> [(&'static str, bool); 17] {
    let Mqtt {
        broker,
        version,
        username,
        password_file,
        ca,
        certificate,
        client_id,
        session_expiry,
        shared_group,
        status_topic,
        keep_alive,
        outbox: Outbox { publications, bytes, when_full, sync },
        max_packet,
        embedded: Embedded { listen },
    } = of;
    [
        ("mqtt.broker", *broker != other.broker),
        ("mqtt.version", *version != other.version),
        ("mqtt.username", *username != other.username),
        ("mqtt.password-file", *password_file != other.password_file),
        ("mqtt.ca", *ca != other.ca),
        ("mqtt.certificate", *certificate != other.certificate),
        ("mqtt.client-id", *client_id != other.client_id),
        ("mqtt.session-expiry", *session_expiry != other.session_expiry),
        ("mqtt.shared-group", *shared_group != other.shared_group),
        ("mqtt.status-topic", *status_topic != other.status_topic),
        ("mqtt.keep-alive", *keep_alive != other.keep_alive),
        ("mqtt.outbox.publications", *publications != other.outbox.publications),
        ("mqtt.outbox.bytes", *bytes != other.outbox.bytes),
        ("mqtt.outbox.when-full", *when_full != other.outbox.when_full),
        ("mqtt.outbox.sync", *sync != other.outbox.sync),
        ("mqtt.max-packet", *max_packet != other.max_packet),
        ("mqtt.embedded.listen", *listen != other.embedded.listen),
    ]
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn parse(text: &str) -> Config {
        Config::parse(text, Path::new("tidegate.toml")).unwrap()
    }

    #[test]
    fn translators_routes_and_limits_need_no_restart() {
        let live = "[plugins]\nfuel = 1\nwall = \"1s\"\nmemory = \"1MiB\"\n\
                    [[translator]]\nname = \"a\"\n[[route]]\ntranslators = [\"a\"]\n";
        assert_eq!(Config::default().needs_restart(&parse(live)), [""; 0]);
    }

    /// Every key that the reader knows in these tables is changed, one at a time.
    #[test]
    fn every_other_key_needs_one() {
        let others = [
            ("coap.listen", "[\"127.0.0.1:9\"]"),
            ("coap.shards", "9"),
            ("coap.block-size", "\"64B\""),
            ("coap.rate-limit-source", "9"),
            ("coap.rate-limit", "9"),
            ("dtls.listen", "[\"127.0.0.1:9\"]"),
            ("dtls.credentials", "\"x\""),
            ("dtls.connection-id", "false"),
            ("dtls.max-associations", "9"),
            ("dtls.handshake-timeout", "\"61s\""),
            ("dtls.retransmission", "\"8s\""),
            ("dtls.mtu", "999"),
            ("mqtt.broker", "\"mqtt://b\""),
            ("mqtt.version", "4"),
            ("mqtt.client-id", "\"x\""),
            ("mqtt.shared-group", "\"g\""),
            ("mqtt.status-topic", "\"\""),
            ("mqtt.keep-alive", "\"9s\""),
            ("mqtt.outbox.publications", "9"),
            ("mqtt.outbox.bytes", "\"9MiB\""),
            ("mqtt.outbox.when-full", "\"drop-oldest\""),
            ("mqtt.outbox.sync", "\"9s\""),
            ("mqtt.max-packet", "\"1MiB\""),
            ("mqtt.embedded.listen", "[\"127.0.0.1:9\"]"),
            ("http.listen", "[]"),
            ("http.tokens", "\"x\""),
            ("http.max-body", "\"1MiB\""),
            ("store.path", "\"x\""),
            ("store.associations", "false"),
            ("registration.lifetime-min", "\"9s\""),
            ("registration.lifetime-max", "\"9s\""),
            ("registration.awake-window", "\"9s\""),
            ("registration.max-registrations", "9"),
            ("models.directory", "\"x\""),
            ("plugins.directory", "\"x\""),
        ];
        for (key, value) in others {
            let other = parse(&format!("{key} = {value}"));
            assert_eq!(Config::default().needs_restart(&other), [key]);
        }
        let broker = "mqtt.broker = \"mqtt://b\"\n";
        let before = parse(broker);
        let after = parse(&format!("{broker}mqtt.username = \"u\"\nmqtt.password-file = \"p\""));
        assert_eq!(before.needs_restart(&after), ["mqtt.username", "mqtt.password-file"]);
        let before = parse("mqtt.client-id = \"x\"\n");
        let after = parse("mqtt.client-id = \"x\"\nmqtt.session-expiry = \"0s\"\n");
        assert_eq!(before.needs_restart(&after), ["mqtt.session-expiry"]);
        let broker = "mqtt.broker = \"mqtts://b\"\n";
        let before = parse(broker);
        let after = parse(&format!("{broker}mqtt.ca = \"c\"\nmqtt.certificate = \"p\"\nmqtt.key = \"k\""));
        assert_eq!(before.needs_restart(&after), ["mqtt.ca", "mqtt.certificate"]);
        let after = parse("http.certificate = \"c\"\nhttp.key = \"k\"\n");
        assert_eq!(Config::default().needs_restart(&after), ["http.certificate"]);
    }
}

//! Which resources hold keys and passwords of a device. What they hold is shown to nobody: not by the API, not in events, traces or
//! the log. Translators get it, as they are part of what the operator has deployed.

use tidegate_proto::lwm2m::model::Models;
use tidegate_proto::lwm2m::path::Path;

/// Whether a value at this path is a secret.
pub(crate) fn is_secret(path: Path, models: &Models) -> bool {
    match (path.object(), path.resource()) {
        (Some(object), _) if KEYS.contains(&object) => true,
        (Some(object), Some(resource)) => models
            .iter()
            .filter(|definition| definition.object == object)
            .filter_map(|definition| definition.resource(resource))
            .any(|resource| is_name_of_secret(&resource.name)),
        _ => false,
    }
}

/// Whether there may be a secret at this path or below it, so that bytes from there which cannot be read stay hidden.
pub(crate) fn covers_secret(path: Path, models: &Models) -> bool {
    match (path.object(), path.resource()) {
        (None, _) => true,
        (Some(_), Some(_)) => is_secret(path, models),
        (Some(object), None) => {
            let definitions = models.iter().filter(|definition| definition.object == object);
            let mut resources = definitions.flat_map(|definition| definition.resources());
            KEYS.contains(&object) || resources.any(|resource| is_name_of_secret(&resource.name))
        }
    }
}

fn is_name_of_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == "key"
        || SECRETS.iter().any(|word| name.contains(word))
        || name.starts_with("wep key ") && name != "wep key index"
}

/// Security and OSCORE: all of them.
const KEYS: [u16; 2] = [0, 21];
const SECRETS: [&str; 7] =
    ["secret", "password", "passphrase", "pre shared key", "pre-shared key", "key phrase", "private key"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_passwords_are_secret_and_nothing_else_is() {
        let models = Models::built_in();
        for path in [[0, 0, 5], [0, 1, 3], [21, 0, 0], [12, 0, 17], [12, 0, 22], [12, 0, 28]] {
            assert!(is_secret(Path::new(path), &models), "{path:?}");
            assert!(covers_secret(Path::new(path).truncated(1), &models), "{path:?}");
        }
        for path in [[3, 0, 0], [3303, 0, 5700], [12, 0, 20], [65000, 0, 1]] {
            assert!(!is_secret(Path::new(path), &models), "{path:?}");
        }
        assert!(covers_secret(Path::root(), &models) && !covers_secret(Path::new([3]), &models));
        assert!(is_secret(Path::new([12, 0, 17, 0]), &models), "an instance of one");
    }
}

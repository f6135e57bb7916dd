//! Topic filters of MQTT, as the operator types them and translators ask for them.

/// Says what MQTT forbids about a topic filter, if anything (MQTT 5, 4.7.1).
///
/// # Errors
/// What is wrong with it, as text.
pub fn check_filter(filter: &str) -> Result<(), String> {
    if filter.is_empty() || filter.len() > usize::from(u16::MAX) || filter.contains('\0') {
        return Err("a topic filter has 1 to 65535 bytes and no NUL character".into());
    }
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        let last = levels.peek().is_none();
        if level.contains('#') && (level != "#" || !last) {
            return Err(format!("`#` must be the whole last level of `{filter}`"));
        }
        if level.contains('+') && level != "+" {
            return Err(format!("`+` must be a whole level of `{filter}`"));
        }
    }
    Ok(())
}

/// Whether a topic filter matches a topic (MQTT 5 section 4.7).
pub fn matches_filter(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut topic = topic.split('/');
    let mut filter = filter.split('/');
    loop {
        match (filter.next(), topic.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (Some(level), Some(other)) if level == other => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_as_the_standard_has_them() {
        for right in ["#", "dn/#", "dn/+/x", "+", "/", "a//b"] {
            assert_eq!(check_filter(right), Ok(()), "{right}");
        }
        for wrong in ["", "dn#", "#/dn", "a+/b", "a\0"] {
            assert!(check_filter(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn filters_match_as_the_standard_has_it() {
        for (filter, topic) in
            [("dn/#", "dn"), ("dn/#", "dn/a/b"), ("+/dn", "a/dn"), ("#", "a"), ("a/+", "a/"), ("/+", "/a")]
        {
            assert!(matches_filter(filter, topic), "{filter} {topic}");
        }
        for (filter, topic) in
            [("dn/#", "dnx"), ("+", "a/b"), ("a/+", "a"), ("#", "$SYS/a"), ("a", "a/b"), ("a/b", "a")]
        {
            assert!(!matches_filter(filter, topic), "{filter} {topic}");
        }
    }
}

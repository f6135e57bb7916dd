use super::answer::status;
use super::*;

fn parameters(query: &str) -> Parameters {
    Parameters(Query::try_from_uri(&format!("/?{query}").parse().unwrap()).unwrap().0)
}

#[test]
fn a_query_is_read_as_leshan_reads_it() {
    let query = parameters("timeout=10&format=senml_cbor&paths=/3/0,/1/0/1&pmin=3&gt=");
    assert_eq!(query.format("format").unwrap(), Some(112));
    assert_eq!(query.format("nodeformat").unwrap(), None);
    assert_eq!(query.paths().unwrap(), [Lwm2mPath::new([3, 0]), Lwm2mPath::new([1, 0, 1])]);
    let attributes = query.others(&["timeout", "format", "paths"]);
    assert_eq!(attributes, [("pmin".to_owned(), Some("3".to_owned())), ("gt".to_owned(), None)]);
    assert!(parameters("format=xml").format("format").unwrap_err().detail().contains("`xml`"));
    assert!(parameters("").paths().is_err());
}

#[test]
fn codes_have_leshans_names() {
    assert_eq!(
        [0x45, 0x84, 0x44, 0xbf].map(status),
        ["CONTENT(205)", "NOT_FOUND(404)", "CHANGED(204)", "UNKNOWN(531)"]
    );
}

#[test]
fn a_body_is_a_node_or_the_text_of_a_resource() {
    let headers = |of: &'static str| HeaderMap::from_iter([(CONTENT_TYPE, of.parse().unwrap())]);
    let path = Lwm2mPath::new([3, 0, 14]);
    let text = content(path, &headers("text/plain; charset=utf-8"), &Bytes::from("+01")).unwrap();
    assert_eq!(text[0].value, Value::Text("+01".into()));
    let node = Bytes::from(r#"{"id":14,"kind":"singleResource","type":"STRING","value":"+02"}"#);
    assert_eq!(
        content(path, &headers("application/json"), &node).unwrap()[0].value,
        Value::Text("+02".into())
    );
    assert!(
        content(path, &headers("text/html"), &node).unwrap_err().detail().contains("text/html not supported")
    );
    assert!(content(path, &headers("application/json"), &Bytes::from("{")).is_err());
}

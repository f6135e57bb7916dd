use std::io::Write;
use std::path::PathBuf;

use super::*;
use crate::coap::Peer;
use crate::lwm2m::registration::Registration;
use crate::lwm2m::shared::Shared;

fn xml(version: &str, items: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?>\n<LWM2M>\n<Object ObjectType=\"MODefinition\">\n<Name>Thing</Name>\
         <ObjectID>4000</ObjectID>{version}<MultipleInstances>Multiple</MultipleInstances>\
         <Mandatory>Optional</Mandatory>\n<Resources>\n{items}\n</Resources></Object></LWM2M>"
    )
}

fn item(id: &str, operations: &str, kind: &str) -> String {
    format!(
        "<Item ID=\"{id}\"><Name>Part</Name><Operations>{operations}</Operations>\
         <MultipleInstances>Single</MultipleInstances><Mandatory>Mandatory</Mandatory><Type>{kind}</Type>\
         <Units>Cel</Units></Item>"
    )
}

fn of_version(version: &str, kind: &str) -> Definition {
    let version = format!("<ObjectVersion>{version}</ObjectVersion>");
    one(&xml(&version, &item("1", "R", kind)))
}

fn one(text: &str) -> Definition {
    let mut definitions = Definition::from_xml("thing.xml", text).expect("a definition");
    assert_eq!(definitions.len(), 1);
    definitions.remove(0)
}

#[test]
fn the_box_knows_the_device_object() {
    let models = Models::built_in();
    let device = models.definition(3, None).expect("a core object");
    assert_eq!(
        (&*device.name, device.version, device.multiple, device.mandatory),
        ("Device", Version(1, 2), false, true)
    );
    for (resource, kind) in [(0, Kind::Text), (4, Kind::Executable), (6, Kind::Integer), (13, Kind::Time)] {
        assert_eq!(models.kind(3, Some("1.0"), resource), Some(kind), "{resource}");
    }
    assert_eq!(
        device.resource(6).map(|resource| (resource.multiple, resource.operations)),
        Some((true, Operations::R))
    );
    assert_eq!(models.kind(3, None, 99), None);
    assert_eq!(models.kind(5, None, 0), Some(Kind::Opaque));
    assert_eq!(models.kind(1, None, 10), Some(Kind::ObjectLink));
    assert_eq!(models.kind(3303, None, 5700), Some(Kind::Float));
    assert_eq!(models.kind(3342, None, 5500), Some(Kind::Boolean));
    assert_eq!(models.kind(31024, None, 0), None);
}

/// Devices with the location of IPSO's first pack are many, and give no version.
#[test]
fn the_box_knows_earlier_major_versions_whose_resources_are_others() {
    let models = Models::built_in();
    assert_eq!(models.kind(3336, None, 5514), Some(Kind::Text));
    assert_eq!(models.kind(3336, Some("1.0"), 5515), Some(Kind::Text));
    assert_eq!(models.kind(3336, Some("2.0"), 5514), None);
    assert_eq!(models.kind(3336, Some("2.0"), 6051), Some(Kind::Float));
    assert_eq!(models.kind(21, Some("1.1"), 0), Some(Kind::Text));
    assert_eq!(models.kind(21, Some("2.0"), 0), Some(Kind::Opaque));
    assert_eq!(models.definition(20, None).map(|of| (of.version, of.multiple)), Some((Version(1, 0), false)));
    let two: Vec<_> = models.objects.values().filter(|versions| versions.len() > 1).collect();
    assert_eq!(two.len(), 3);
    for versions in two {
        let [earlier, later] = versions.as_slice() else { panic!("{versions:?}") };
        assert!(earlier.version.0 < later.version.0);
        let kinds = |of: &Definition| of.resources().iter().map(|of| (of.id, of.kind)).collect::<Vec<_>>();
        assert!(kinds(earlier) != kinds(later), "{}", earlier.object);
    }
}

#[test]
fn a_definition_is_read() {
    let text =
        xml("", &(item("5", "RW", "Unsigned Integer") + &item("1", "E", "String") + &item("2", "", "")));
    let definition = one(&text);
    assert_eq!((definition.object, definition.version, &*definition.name), (4000, Version::INITIAL, "Thing"));
    assert!(definition.multiple && !definition.mandatory);
    let resources: Vec<_> = definition
        .resources()
        .iter()
        .map(|resource| (resource.id, resource.operations, resource.kind, &*resource.units))
        .collect();
    assert_eq!(
        resources,
        [
            (1, Operations::E, Some(Kind::Executable), "Cel"),
            (2, Operations::None, None, "Cel"),
            (5, Operations::RW, Some(Kind::Unsigned), "Cel"),
        ]
    );
}

#[test]
fn the_version_of_the_client_chooses() {
    let mut models = Models::default();
    models.insert(of_version("2.0", "Time"));
    models.insert(of_version("1.1", "String"));
    models.insert(of_version("1.3", "Integer"));
    for (version, kind) in [
        (Some("1.1"), Kind::Text),
        (Some("1.2"), Kind::Text),
        (Some("1.3"), Kind::Integer),
        (Some("1.10"), Kind::Integer),
        (Some("2.0"), Kind::Time),
        (Some("9.9"), Kind::Time),
        (Some("1.0"), Kind::Text),
        (Some("new"), Kind::Text),
        (None, Kind::Text),
    ] {
        assert_eq!(models.kind(4000, version, 1), Some(kind), "{version:?}");
    }
    assert_eq!(Definitions::kind(&models, 4000, 1), Some(Kind::Text));
    models.insert(of_version("1.3", "Opaque"));
    assert_eq!(models.kind(4000, Some("1.3"), 1), Some(Kind::Opaque));
    assert_eq!(models.iter().count(), 3);
    models.insert(of_version("1.0", "Corelnk"));
    assert_eq!(models.kind(4000, None, 1), Some(Kind::CoreLink), "no version is 1.0");
}

/// Clients often have more than the version says that they give, or than 1.0 if they give none.
#[test]
fn a_resource_that_a_version_lacks_is_that_of_another_minor_version() {
    let with =
        |version: &str, items: &str| one(&xml(&format!("<ObjectVersion>{version}</ObjectVersion>"), items));
    let mut models = Models::default();
    models.insert(with("0.9", &item("7", "R", "String")));
    models.insert(with("1.0", &item("1", "R", "String")));
    models.insert(with("1.1", &(item("1", "R", "Integer") + &item("2", "R", "Time"))));
    models.insert(with("1.2", &(item("2", "R", "Float") + &item("3", "R", "Float"))));
    models.insert(with("2.0", &(item("3", "R", "Opaque") + &item("9", "R", "Opaque"))));
    for (version, kinds) in [
        (None, [Some(Kind::Text), Some(Kind::Time), Some(Kind::Float), None]),
        (Some("1.1"), [Some(Kind::Integer), Some(Kind::Time), Some(Kind::Float), None]),
        (Some("1.9"), [Some(Kind::Integer), Some(Kind::Float), Some(Kind::Float), None]),
        (Some("2.0"), [None, None, Some(Kind::Opaque), Some(Kind::Opaque)]),
        (Some("3.0"), [None, None, Some(Kind::Opaque), Some(Kind::Opaque)]),
    ] {
        assert_eq!([1, 2, 3, 9].map(|id| models.kind(4000, version, id)), kinds, "{version:?}");
        assert_eq!(models.kind(4000, version, 7), None, "{version:?}: another major version");
    }
}

/// A minor version is no reason to read what another major version means.
#[test]
fn the_nearest_version_is_one_of_the_same_major_if_there_is_one() {
    let mut models = Models::default();
    models.insert(of_version("1.1", "String"));
    models.insert(of_version("2.3", "Integer"));
    models.insert(of_version("3.0", "Time"));
    for (version, kind) in [
        (Some("2.0"), Kind::Integer),
        (Some("2.4"), Kind::Integer),
        (Some("0.1"), Kind::Text),
        (Some("4.0"), Kind::Time),
    ] {
        assert_eq!(models.kind(4000, version, 1), Some(kind), "{version:?}");
    }
    let mut later = Models::default();
    later.insert(of_version("2.0", "Opaque"));
    later.insert(of_version("3.0", "Float"));
    assert_eq!(later.kind(4000, None, 1), Some(Kind::Opaque), "the nearest to 1.x");
    assert_eq!(later.kind(4000, Some("3.1"), 1), Some(Kind::Float));
}

/// `</4000>;ver=1.3` at the object, at an instance, and in quotation marks.
#[test]
fn a_client_has_its_objects_in_the_versions_it_registered() {
    let mut models = Models::default();
    models.insert(of_version("1.1", "String"));
    models.insert(of_version("1.3", "Integer"));
    models.insert(of_version("2.0", "Time"));
    for (links, kind) in [
        ("</4000>;ver=1.1,</4000/0>", Kind::Text),
        ("</4000>;ver=\"1.1\",</4000/0>", Kind::Text),
        ("</4000/0>;ver=1.1,</4000/1>", Kind::Text),
        ("</4000/0>,</4000/1>;ver=\"2.0\"", Kind::Time),
        ("</4000>;ver=2.0", Kind::Time),
        ("</4000>;ver=1.4", Kind::Integer),
        ("</4000/0>", Kind::Text),
        ("</3/0>", Kind::Text),
    ] {
        let peer = Peer::plain("127.0.0.1:5683".parse().expect("an address"));
        let queries = [b"lwm2m=1.1".as_slice(), b"ep=a"].into_iter();
        let registration = Registration::from_register(
            queries,
            links.as_bytes(),
            peer,
            "/rd/x".into(),
            None,
            &mut Shared::default(),
        )
        .expect("a registration");
        let defined = Defined::new(&models, &registration);
        assert_eq!(defined.kind(3, 0), None, "{links}");
        assert_eq!(defined.kind(4000, 1), Some(kind), "{links}");
        assert_eq!(defined.kind(4000, 1), Some(kind), "{links}, asked again");
        assert_eq!(defined.kind(4000, 2), None, "{links}");
        assert_eq!(defined.kind(3, 0), None, "{links}, asked again");
    }
}

/// Each type of the schema, and what executable resources have instead.
#[test]
fn every_type_of_the_registry_is_known() {
    for (operations, text, kind) in [
        ("R", "String", Some(Kind::Text)),
        ("RW", "Integer", Some(Kind::Integer)),
        ("W", "Unsigned Integer", Some(Kind::Unsigned)),
        ("R", "Float", Some(Kind::Float)),
        ("R", "Boolean", Some(Kind::Boolean)),
        ("R", "Opaque", Some(Kind::Opaque)),
        ("R", "Time", Some(Kind::Time)),
        ("R", "Objlnk", Some(Kind::ObjectLink)),
        ("R", "Corelnk", Some(Kind::CoreLink)),
        ("R", "", None),
        ("E", "", Some(Kind::Executable)),
        ("E", "none", Some(Kind::Executable)),
        ("RWE", "Integer", Some(Kind::Integer)),
        ("RE", "", Some(Kind::Executable)),
        ("WE", "Opaque", Some(Kind::Opaque)),
    ] {
        let definition = one(&xml("", &item("1", operations, text)));
        assert_eq!(definition.resource(1).expect("a resource").kind, kind, "{operations} {text}");
    }
}

#[test]
fn a_text_may_define_several_objects() {
    let other = |id: &str| xml("", &item("1", "R", "String")).replace("4000", id);
    let both =
        other("4001").replace("</LWM2M>", "") + &other("4002")[other("4002").find("<Object ").unwrap()..];
    let objects = Definition::from_xml("both.xml", &both).expect("definitions");
    assert_eq!(objects.iter().map(|of| of.object).collect::<Vec<_>>(), [4001, 4002]);
    let mut models = Models::default();
    let error = models.load_xml("twice.xml", &both.replace("4002", "4001")).expect_err("a second definition");
    assert_eq!(error.reason, "object 4001 is defined twice in version 1.0");
    assert_eq!(models, Models::default(), "nothing of it is taken");
}

#[test]
fn a_definition_of_the_folder_replaces_that_of_the_box() {
    let mut models = Models::built_in();
    let text = xml("<ObjectVersion>1.2</ObjectVersion>", &item("0", "R", "Float")).replace("4000", "3");
    models.load_xml("3.xml", &text).expect("a definition");
    assert_eq!(models.kind(3, Some("1.2"), 0), Some(Kind::Float));
}

#[test]
fn errors_name_the_file_the_line_and_what() {
    let part = item("1", "R", "String");
    let bomb = "<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><LWM2M>&b;</LWM2M>";
    for (text, line, reason) in [
        (xml("", &item("1", "R", "Strin")), 6, "`Strin` is none of the types String, Integer"),
        (xml("", &item("1", "RX", "String")), 6, "`RX` is none of R, W, RW, E, RE, WE, RWE and nothing"),
        (xml("", &item("65536", "R", "String")), 6, "`ID` of this `Item` is not a number up to 65535"),
        (xml("", &part.replace(" ID=\"1\"", "")), 6, "`ID` of this `Item` is not a number"),
        (xml("", &format!("{part}\n{part}")), 7, "resource 1 is defined twice"),
        (xml("", &part.replace("Single", "Some")), 6, "`Some` is neither `Single` nor `Multiple`"),
        (xml("", &part.replace("<Type>String</Type>", "")), 6, "`Item` lacks `Type`"),
        (xml("<ObjectVersion>one</ObjectVersion>", &part), 4, "an object version is two numbers"),
        (xml("", &part).replace("4000", "-1"), 4, "`ObjectID` is not a number up to 65535"),
        (xml("", &part).replace("</Resources>", ""), 7, "expected 'Resources' tag, not 'Object'"),
        ("<LWM2M>\n</LWM2M>".to_owned(), 1, "`LWM2M` lacks `Object`"),
        ("<html/>".to_owned(), 1, "the outermost element is not `LWM2M`"),
        (String::new(), 1, ""),
        (bomb.to_owned(), 1, "DTD"),
        (" ".repeat((4 << 20) + 1), 1, "it is larger than 4 MiB"),
    ] {
        let error = Definition::from_xml("thing.xml", &text).expect_err(reason);
        assert!(error.reason.contains(reason), "{error} | {reason}");
        assert_eq!((error.file.as_str(), error.line), ("thing.xml", line), "{error}");
        let place = format!("thing.xml, line {line}, column {}: ", error.column);
        assert!(error.column > 0 && error.to_string().starts_with(&place), "{error}");
    }
}

/// Nesting is what a recursive reader would die of.
#[test]
fn deep_xml_is_no_harm() {
    let text = format!("<LWM2M>{}{}</LWM2M>", "<a>".repeat(100_000), "</a>".repeat(100_000));
    Definition::from_xml("deep.xml", &text).expect_err("no object");
}

/// The files of the registry, where they are at hand: name and text.
fn registry() -> Option<Vec<(String, String)>> {
    let shared = std::env::var_os("TIDEGATE_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let folder = shared.join("oma-registry");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        // Past the test runner, which keeps what passing tests print to itself.
        let _ = writeln!(std::io::stdout(), "skipped: there is no {}", folder.display());
        return None;
    };
    let files = entries.map(|entry| entry.expect("a readable folder").path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "xml"));
    let read = |path: PathBuf| (path.display().to_string(), std::fs::read_to_string(&path).expect("UTF-8"));
    Some(files.map(read).collect())
}

#[test]
fn the_whole_registry_is_read() {
    let Some(files) = registry() else { return };
    let mut models = Models::default();
    for (name, text) in &files {
        models.load_xml(name, text).unwrap_or_else(|error| panic!("{error}"));
    }
    let resources: usize = models.iter().map(|of| of.resources().len()).sum();
    let definitions = models.iter().count();
    let _ = writeln!(
        std::io::stdout(),
        "registry: {} files, {definitions} definitions, {resources} resources, none broken",
        files.len()
    );
    assert!(definitions >= 300 && definitions == files.len(), "one in each file: {definitions}");
    let untyped = models.iter().flat_map(Definition::resources).filter(|of| of.kind.is_none()).count();
    assert_eq!(untyped, 1, "the registry has one readable resource without a type");
    assert_eq!(models.kind(9, None, 2), Some(Kind::Opaque));
    assert_eq!(models.kind(9, None, 4), Some(Kind::Executable));
    assert_eq!(models.kind(19, None, 0), Some(Kind::Opaque));
}

/// Both ways: what is in the box is right, and what ought to be in the box is.
#[test]
fn the_box_says_what_the_registry_says() {
    let Some(files) = registry() else { return };
    let mut registered = Models::default();
    for (name, text) in &files {
        for definition in Definition::from_xml(name, text).unwrap_or_else(|error| panic!("{error}")) {
            let ipso = [3200..=3203, 3300..=3350].iter().any(|ids| ids.contains(&definition.object));
            if ipso || text.contains(&format!("urn:oma:lwm2m:oma:{}", definition.object)) {
                registered.insert(definition);
            }
        }
    }
    let mut compared = 0;
    let models = Models::built_in();
    for definition in registered.iter() {
        let versions = models.objects.get(&definition.object).expect("each object is in the box");
        assert_eq!(versions.last(), Some(definition));
        compared += 1;
    }
    assert_eq!(models.objects.len(), compared, "and no other");
    let _ = writeln!(std::io::stdout(), "registry: {compared} built-in definitions are as registered");
}

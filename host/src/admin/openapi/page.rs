//! The description as a page: plain HTML, made once, without script.

use std::fmt::Write as _;

use serde_json::Value as Json;

/// The page of a description.
pub(super) fn render(description: &Json) -> String {
    let info = &description["info"];
    let mut page = String::from(HEAD);
    let _ = write!(
        page,
        "<h1>{} <small>{}</small></h1><p>{}</p><p><a href=\"/api/openapi.json\">openapi.json</a> is the same for programs.</p>",
        text(&info["title"]),
        text(&info["version"]),
        marked(info["description"].as_str().unwrap_or_default())
    );
    let mut group = "";
    for (path, method, operation) in operations(description) {
        let tag = operation["tags"][0].as_str().unwrap_or("gateway");
        if tag != group {
            let _ = write!(page, "<h2>{}</h2>", escaped(tag));
            group = tag;
        }
        show(&mut page, (path, method), operation);
    }
    page.push_str("<h2>Schemas</h2>");
    for (name, schema) in description["components"]["schemas"].as_object().into_iter().flatten() {
        let pretty = serde_json::to_string_pretty(schema).unwrap_or_default();
        let name = escaped(name);
        let _ = write!(
            page,
            "<details id=\"schema-{name}\"><summary>{name}</summary><pre>{}</pre></details>",
            escaped(&pretty)
        );
    }
    page.push_str("</main></body></html>");
    page
}

/// By their tags: the gateway's own first.
fn operations(description: &Json) -> Vec<(&str, &str, &Json)> {
    let paths = description["paths"].as_object().into_iter().flatten();
    let mut operations: Vec<_> = paths
        .flat_map(|(path, item)| {
            let methods = item.as_object().into_iter().flatten();
            methods.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
        })
        .collect();
    let place = |operation: &Json| {
        let tag = operation["tags"][0].as_str().unwrap_or("gateway");
        (
            ["EMQX", "Leshan"].iter().position(|foreign| *foreign == tag).map_or(0, |place| place + 1),
            tag.to_owned(),
        )
    };
    operations.sort_by_cached_key(|(path, method, operation)| {
        (place(operation), (*path).to_owned(), (*method).to_owned())
    });
    operations
}

fn show(page: &mut String, (path, method): (&str, &str), operation: &Json) {
    let summary = operation["summary"].as_str().or(operation["description"].as_str()).unwrap_or_default();
    let _ = write!(
        page,
        "<details><summary><b class=\"{method}\">{}</b> <code>{}</code> <span>{}</span></summary>",
        method.to_uppercase(),
        escaped(path),
        marked(summary)
    );
    if let Some(more) = operation["description"].as_str().filter(|more| *more != summary) {
        let _ = write!(page, "<p>{}</p>", marked(more));
    }
    let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !parameters.is_empty() {
        page.push_str("<table><tr><th>Parameter</th><th>In</th><th>Meaning</th></tr>");
        for parameter in parameters {
            let star = if parameter["required"] == true { " *" } else { "" };
            let _ = write!(
                page,
                "<tr><td><code>{}</code>{star}</td><td>{}</td><td>{}</td></tr>",
                text(&parameter["name"]),
                text(&parameter["in"]),
                marked(parameter["description"].as_str().unwrap_or_default())
            );
        }
        page.push_str("</table>");
    }
    if let Some(content) = operation["requestBody"]["content"].as_object() {
        let _ = write!(page, "<p>Body: {}</p>", bodies(content));
    }
    page.push_str("<table><tr><th>Answer</th><th></th><th></th></tr>");
    for (status, response) in operation["responses"].as_object().into_iter().flatten() {
        let content = response["content"].as_object().map(bodies).unwrap_or_default();
        let said = marked(response["description"].as_str().unwrap_or_default());
        let _ = write!(page, "<tr><td>{}</td><td>{said}</td><td>{content}</td></tr>", escaped(status));
    }
    page.push_str("</table></details>");
}

/// The types of a body, with links to their schemas.
fn bodies(content: &serde_json::Map<String, Json>) -> String {
    let one = |(name, of): (&String, &Json)| {
        let reference = of["schema"]["$ref"].as_str().and_then(|reference| reference.rsplit('/').next());
        let schema = reference.map(|name| format!(" <a href=\"#schema-{0}\">{0}</a>", escaped(name)));
        format!("<code>{}</code>{}", escaped(name), schema.unwrap_or_default())
    };
    content.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn text(of: &Json) -> String {
    escaped(of.as_str().unwrap_or_default())
}

/// A text with what stands between backticks as code.
fn marked(of: &str) -> String {
    let parts = of.split('`').enumerate();
    let mark = |(number, part): (usize, &str)| {
        let part = escaped(part);
        if number % 2 == 1 { format!("<code>{part}</code>") } else { part }
    };
    parts.map(mark).collect()
}

fn escaped(of: &str) -> String {
    of.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const HEAD: &str = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
                    content=\"width=device-width\"><title>Tidegate API</title><link rel=\"stylesheet\" href=\"/api/style.css\">\
                    </head><body><main>";
pub(super) const STYLE: &str = ":root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}\
body{margin:0}main{max-width:60rem;margin:auto;padding:1rem}\
code,pre{font-family:ui-monospace,monospace;font-size:.9em}pre{overflow:auto}\
details{border:1px solid #8884;border-radius:.4rem;margin:.4rem 0;padding:.3rem .7rem}\
summary{cursor:pointer;overflow-wrap:anywhere}summary span{opacity:.75;font-size:.9em}\
summary b{display:inline-block;min-width:4.2em}b.get{color:#2478c8}b.post{color:#1c8a4a}b.put{color:#a86a00}b.delete{color:#c43d3d}\
table{border-collapse:collapse;width:100%;margin:.5rem 0}th,td{text-align:start;vertical-align:top;padding:.2rem .6rem .2rem 0}\
small{opacity:.6;font-weight:normal}a{color:#2478c8}";

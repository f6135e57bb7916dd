// Written by scripts/dashboard-build.
&[
    File { path: "/assets/app-7SMZ7DT5.css", kind: "text/css; charset=utf-8", tag: "\"2503662cb9d27740\"", body: include_bytes!("assets/app-7SMZ7DT5.css") },
    File { path: "/assets/app-GVTBDEK3.js", kind: "text/javascript; charset=utf-8", tag: "\"5a1ddfd2fd2b252e\"", body: include_bytes!("assets/app-GVTBDEK3.js") },
    File { path: "/icon.svg", kind: "image/svg+xml", tag: "\"e7bef11bf5822c7f\"", body: include_bytes!("icon.svg") },
    File { path: "/index.html", kind: "text/html; charset=utf-8", tag: "\"ae95940b4e52e0b3\"", body: include_bytes!("index.html") },
]

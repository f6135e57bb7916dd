// Written by scripts/dashboard-build.
&[
    File { path: "/assets/app-7SMZ7DT5.css", kind: "text/css; charset=utf-8", tag: "\"2503662cb9d27740\"", body: include_bytes!("assets/app-7SMZ7DT5.css") },
    File { path: "/assets/app-TJQ4WS7E.js", kind: "text/javascript; charset=utf-8", tag: "\"7d2ade8147410429\"", body: include_bytes!("assets/app-TJQ4WS7E.js") },
    File { path: "/icon.svg", kind: "image/svg+xml", tag: "\"e7bef11bf5822c7f\"", body: include_bytes!("icon.svg") },
    File { path: "/index.html", kind: "text/html; charset=utf-8", tag: "\"cbf12e9cf9aa3415\"", body: include_bytes!("index.html") },
]

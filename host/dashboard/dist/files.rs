// Written by scripts/dashboard-build.
&[
    File { path: "/assets/app-7SMZ7DT5.css", kind: "text/css; charset=utf-8", tag: "\"2503662cb9d27740\"", body: include_bytes!("assets/app-7SMZ7DT5.css") },
    File { path: "/assets/app-WBYNKH4P.js", kind: "text/javascript; charset=utf-8", tag: "\"048dc84c5ff73d64\"", body: include_bytes!("assets/app-WBYNKH4P.js") },
    File { path: "/icon.svg", kind: "image/svg+xml", tag: "\"e7bef11bf5822c7f\"", body: include_bytes!("icon.svg") },
    File { path: "/index.html", kind: "text/html; charset=utf-8", tag: "\"8f68e34b38e2d652\"", body: include_bytes!("index.html") },
]

// Written by scripts/dashboard-build.
&[
    File { path: "/assets/app-6OPLIGQ4.js", kind: "text/javascript; charset=utf-8", tag: "\"4c2c004a61ba37d6\"", body: include_bytes!("assets/app-6OPLIGQ4.js") },
    File { path: "/assets/app-GFTWKFXE.css", kind: "text/css; charset=utf-8", tag: "\"ce1cee5ea00717da\"", body: include_bytes!("assets/app-GFTWKFXE.css") },
    File { path: "/icon.svg", kind: "image/svg+xml", tag: "\"e7bef11bf5822c7f\"", body: include_bytes!("icon.svg") },
    File { path: "/index.html", kind: "text/html; charset=utf-8", tag: "\"052dd00b6a5aca49\"", body: include_bytes!("index.html") },
]

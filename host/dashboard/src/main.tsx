// The dashboard: its pages in a frame.

import { render } from "preact";
import { watchConnection } from "./live";
import { followLinks } from "./route";
import { Shell } from "./shell";
import "./style.css";

followLinks();
watchConnection();
render(<Shell />, document.body);

// Object definitions of the simulated clients, shortened.
const resource = (id, name, operations, type, units, range) => ({ id, name, operations, type, units: units || null, range: range || null, multiple: false, mandatory: operations !== "E" });

export const MODELS = [
  {
    id: 1, version: "1.1", name: "LwM2M Server", multiple: true, mandatory: true,
    resources: [
      resource(0, "Short Server ID", "R", "integer", "", "1..65534"),
      resource(1, "Lifetime", "RW", "integer", "s"),
      resource(2, "Default Minimum Period", "RW", "integer", "s"),
      resource(6, "Notification Storing", "RW", "boolean"),
      resource(7, "Binding", "RW", "string", "", ""),
      resource(8, "Registration Update Trigger", "E", null),
    ],
  },
  {
    id: 3, version: "1.2", name: "Device", multiple: false, mandatory: true,
    resources: [
      resource(0, "Manufacturer", "R", "string"),
      resource(1, "Model Number", "R", "string"),
      resource(2, "Serial Number", "R", "string"),
      resource(3, "Firmware Version", "R", "string"),
      resource(4, "Reboot", "E", null),
      resource(5, "Factory Reset", "E", null),
      resource(9, "Battery Level", "R", "integer", "%", "0..100"),
      resource(10, "Memory Free", "R", "integer", "KiB"),
      resource(11, "Error Code", "R", "integer", "", "0..32"),
      resource(13, "Current Time", "RW", "time"),
      resource(14, "UTC Offset", "RW", "string"),
      resource(15, "Timezone", "RW", "string"),
      resource(16, "Supported Binding and Modes", "R", "string"),
    ],
  },
  {
    id: 5, version: "1.1", name: "Firmware Update", multiple: false, mandatory: false,
    resources: [
      resource(0, "Package", "W", "opaque"),
      resource(1, "Package URI", "RW", "string"),
      resource(2, "Update", "E", null),
      resource(3, "State", "R", "integer", "", "0..3"),
      resource(5, "Update Result", "R", "integer", "", "0..11"),
    ],
  },
  {
    id: 6, version: "1.0", name: "Location", multiple: false, mandatory: false,
    resources: [resource(0, "Latitude", "R", "float", "lat"), resource(1, "Longitude", "R", "float", "lon"), resource(5, "Timestamp", "R", "time")],
  },
  {
    id: 3303, version: "1.1", name: "Temperature", multiple: true, mandatory: false,
    resources: [
      resource(5601, "Min Measured Value", "R", "float", "Cel"),
      resource(5602, "Max Measured Value", "R", "float", "Cel"),
      resource(5700, "Sensor Value", "R", "float", "Cel"),
      resource(5701, "Sensor Units", "R", "string"),
      resource(5605, "Reset Min and Max Measured Values", "E", null),
    ],
  },
  {
    id: 3311, version: "1.0", name: "Light Control", multiple: true, mandatory: false,
    resources: [
      resource(5850, "On/Off", "RW", "boolean"),
      resource(5851, "Dimmer", "RW", "integer", "/100", "0..100"),
      resource(5852, "On Time", "RW", "integer", "s"),
      resource(5706, "Colour", "RW", "string"),
    ],
  },
];

// A codec as LoRaWAN users know it (TS013): bytes of the opaque resource that vendor.toml names, to fields and back.
function decodeUplink(input) {
  if (input.bytes.length < 3) return { errors: [`3 bytes are needed, there are ${input.bytes.length}`] };
  const [high, low, battery] = input.bytes;
  return { data: { temperature: (((high << 8) | low) << 16 >> 16) / input.variables.scale, battery } };
}

function encodeDownlink(input) {
  return { bytes: [input.data.interval >> 8, input.data.interval & 255], fPort: input.fPort };
}

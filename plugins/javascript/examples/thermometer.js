// Temperatures as flat JSON, and a set point that can be written: copy it into the plugin folder and change it.
// tidegate.d.ts beside this folder tells an editor what there is.

const subscriptions = ['thermometer/+/set'];

function uplink(event) {
  switch (event.type) {
    case 'registered':
      // Whoever has a temperature sensor (IPSO 3303) is observed; the endpoint is that of the event.
      return event.registration.objects
        .filter(({ path }) => /^\/3303\/\d+$/.test(path))
        .map(({ path }) => ({ observe: `${path}/5700` }));
    case 'answered':
    case 'notified':
      return event.samples
        .filter(({ path, value }) => path.endsWith('/5700') && typeof value === 'number')
        .map(({ value, time }) => ({
          topic: `thermometer/${topicLevel(event.endpoint)}/celsius`,
          payload: { celsius: value, at: new Date(time ?? event.received).toISOString() },
          qos: 1,
        }));
    default:
      return [];
  }
}

function downlink(message) {
  const { celsius } = message.json;
  if (typeof celsius !== 'number') throw new Malformed('the message needs a number `celsius`');
  const endpoint = fromTopicLevel(message.topic.split('/')[1]);
  return { endpoint, write: { '/3308/0/5900': { value: celsius, type: 'float' } } };
}

package tidegate.bench;

import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Map;

import org.eclipse.californium.core.CoapResource;
import org.eclipse.californium.core.CoapServer;
import org.eclipse.californium.core.coap.CoAP;
import org.eclipse.californium.core.coap.Request;
import org.eclipse.californium.core.coap.Response;
import org.eclipse.californium.core.config.CoapConfig;
import org.eclipse.californium.core.network.CoapEndpoint;
import org.eclipse.californium.core.server.resources.CoapExchange;
import org.eclipse.californium.elements.config.Configuration;
import org.eclipse.californium.elements.config.UdpConfig;
import org.eclipse.paho.client.mqttv3.MqttAsyncClient;
import org.eclipse.paho.client.mqttv3.MqttConnectOptions;
import org.eclipse.paho.client.mqttv3.MqttException;
import org.eclipse.paho.client.mqttv3.persist.MemoryPersistence;

/**
 * Takes registrations, observes /3303/0/5700 of each client, and publishes its notifications: a subject of
 * {@code tidegate bench}, which says in TIDEGATE_BENCH_COAP and TIDEGATE_BENCH_MQTT where.
 */
public final class Gateway extends CoapResource {
    private static final String TOPIC = "topic";

    private final MqttAsyncClient broker;
    private CoapEndpoint endpoint;

    private Gateway(MqttAsyncClient broker) {
        super("rd");
        this.broker = broker;
    }

    public static void main(String[] arguments) throws Exception {
        CoapConfig.register();
        UdpConfig.register();
        // Everything as it is but for the number of messages in flight, which would stop the bench.
        Configuration configuration = Configuration.createStandardWithoutFile();
        configuration.set(CoapConfig.MAX_ACTIVE_PEERS, 200_000);
        configuration.set(UdpConfig.UDP_RECEIVE_BUFFER_SIZE, 8 << 20);
        String[] listen = System.getenv("TIDEGATE_BENCH_COAP").split(":");
        String url = "tcp://" + System.getenv("TIDEGATE_BENCH_MQTT");
        Gateway gateway = new Gateway(new MqttAsyncClient(url, "californium", new MemoryPersistence()));
        gateway.endpoint = CoapEndpoint.builder()
                .setInetSocketAddress(new InetSocketAddress(listen[0], Integer.parseInt(listen[1])))
                .setConfiguration(configuration)
                .build();
        gateway.endpoint.addNotificationListener(gateway::publish);
        CoapServer server = new CoapServer(configuration);
        server.addEndpoint(gateway.endpoint);
        server.add(gateway);
        server.start();
        // Connected means ready.
        MqttConnectOptions options = new MqttConnectOptions();
        options.setMaxInflight(65_535);
        gateway.broker.connect(options).waitForCompletion();
    }

    @Override
    public void handlePOST(CoapExchange exchange) {
        exchange.setLocationPath("rd/x");
        exchange.respond(CoAP.ResponseCode.CREATED);
        Request observe = Request.newGet();
        observe.setDestinationContext(exchange.advanced().getRequest().getSourceContext());
        observe.getOptions().setUriPath("3303/0/5700");
        observe.setObserve();
        observe.setUserContext(Map.of(TOPIC, "lwm2m/" + exchange.getQueryParameter("ep") + "/up/notify"));
        endpoint.sendRequest(observe);
    }

    private void publish(Request observe, Response response) {
        try {
            broker.publish(observe.getUserContext().get(TOPIC), payload(response.getPayload()), 0, false);
        } catch (MqttException exception) {
            throw new IllegalStateException(exception);
        }
    }

    /** The value as JSON, as the translator in the box publishes it. */
    private static byte[] payload(byte[] tlv) {
        // The one value is the last eight or four bytes.
        double value = tlv.length >= 10
                ? ByteBuffer.wrap(tlv, tlv.length - 8, 8).getDouble()
                : ByteBuffer.wrap(tlv, tlv.length - 4, 4).getFloat();
        return ("{\"seqNum\":1,\"reqPath\":\"/3303/0/5700\",\"msgType\":\"notify\",\"data\":{\"reqPath\":\"/3303/0/5700\","
                + "\"content\":[{\"value\":" + value + ",\"path\":\"/3303/0/5700\"}],"
                + "\"codeMsg\":\"content\",\"code\":\"2.05\"}}").getBytes(StandardCharsets.UTF_8);
    }
}

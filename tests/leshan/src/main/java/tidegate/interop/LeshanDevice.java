package tidegate.interop;

import java.io.BufferedReader;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;

import org.eclipse.californium.elements.config.Configuration;
import org.eclipse.leshan.client.LeshanClient;
import org.eclipse.leshan.client.LeshanClientBuilder;
import org.eclipse.leshan.client.object.LwM2mTestObject;
import org.eclipse.leshan.client.object.Server;
import org.eclipse.leshan.client.observer.LwM2mClientObserverAdapter;
import org.eclipse.leshan.client.resource.BaseInstanceEnabler;
import org.eclipse.leshan.client.resource.ObjectsInitializer;
import org.eclipse.leshan.client.send.ManualDataSender;
import org.eclipse.leshan.client.servers.LwM2mServer;
import org.eclipse.leshan.core.LwM2mId;
import org.eclipse.leshan.core.ResponseCode;
import org.eclipse.leshan.core.model.ObjectLoader;
import org.eclipse.leshan.core.model.ObjectModel;
import org.eclipse.leshan.core.model.ResourceModel;
import org.eclipse.leshan.core.model.ResourceModel.Operations;
import org.eclipse.leshan.core.model.ResourceModel.Type;
import org.eclipse.leshan.core.model.StaticModel;
import org.eclipse.leshan.core.node.LwM2mPath;
import org.eclipse.leshan.core.node.LwM2mResource;
import org.eclipse.leshan.core.request.BindingMode;
import org.eclipse.leshan.core.request.ContentFormat;
import org.eclipse.leshan.core.request.DeregisterRequest;
import org.eclipse.leshan.core.request.RegisterRequest;
import org.eclipse.leshan.core.request.UpdateRequest;
import org.eclipse.leshan.core.request.argument.Arguments;
import org.eclipse.leshan.core.response.ExecuteResponse;
import org.eclipse.leshan.core.response.ReadResponse;
import org.eclipse.leshan.core.response.SendResponse;
import org.eclipse.leshan.core.response.WriteResponse;
import org.eclipse.leshan.transport.californium.client.endpoint.CaliforniumClientEndpointsProvider;
import org.eclipse.leshan.transport.californium.client.endpoint.coap.CoapClientProtocolProvider;
import org.eclipse.leshan.transport.californium.client.endpoint.coaps.CoapsClientProtocolProvider;

/**
 * A device with the objects Security, Server, Device, Temperature (3303) and Leshan's own test object (3442), which has a
 * resource of every type, single and multiple. Arguments: the server's URI, the endpoint name and, for DTLS, what
 * {@link DtlsProfile} takes. What happens to it is printed, one line each; lines on its input drive it: {@code notify VALUE}
 * changes the temperature, {@code send FORMAT PATH...} sends values, {@code collect PATH...} takes values down with their
 * time, {@code flush FORMAT} sends those, {@code update} renews the registration, {@code resume} makes the next message
 * begin with an abbreviated handshake and {@code reconnect} with a full one, {@code quit} deregisters and ends.
 */
public final class LeshanDevice {
    private static final int TEST_OBJECT = 3442;
    private static final long PATIENCE_MS = 20_000;

    public static void main(String[] arguments) throws Exception {
        System.setProperty("org.slf4j.simpleLogger.defaultLogLevel", "warn");
        Temperature temperature = new Temperature();
        LeshanClient client = client(arguments[0], arguments[1], new DtlsProfile(arguments, 2), temperature);
        client.addObserver(new Printer());
        client.start();
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = input.readLine(); line != null && !line.equals("quit"); line = input.readLine()) {
            if (line.startsWith("notify ")) {
                temperature.change(Double.parseDouble(line.substring("notify ".length())));
            } else if (line.startsWith("send ")) {
                send(client, line.substring("send ".length()).split(" "));
            } else if (line.startsWith("collect ")) {
                collector(client).collectData(paths(line.substring("collect ".length()).split(" ")));
                say("collected");
            } else if (line.startsWith("flush ")) {
                ContentFormat format = ContentFormat.fromCode(line.substring("flush ".length()));
                collector(client).sendCollectedData(server(client), format, PATIENCE_MS, false);
            } else if (line.equals("resume") || line.equals("reconnect")) {
                client.getEndpoint(server(client)).forceReconnection(server(client), line.equals("resume"));
                say("forced to " + line);
            } else if (line.equals("update")) {
                client.triggerRegistrationUpdate();
            } else {
                say("unknown command " + line);
            }
        }
        client.destroy(true);
    }

    private static LeshanClient client(String server, String endpoint, DtlsProfile dtls, Temperature temperature)
            throws Exception {
        List<ObjectModel> models = new ArrayList<>(ObjectLoader.loadDefault());
        models.removeIf(model -> model.id == Temperature.OBJECT);
        models.add(Temperature.MODEL);
        try (InputStream definition = LeshanDevice.class.getResourceAsStream("/models/3442.xml")) {
            models.addAll(ObjectLoader.loadDdfFile(definition, "3442.xml"));
        }
        ObjectsInitializer objects = new ObjectsInitializer(new StaticModel(models));
        objects.setInstancesForObject(LwM2mId.SECURITY, dtls.security(server));
        objects.setInstancesForObject(LwM2mId.SERVER,
                new Server(1, 300, EnumSet.of(BindingMode.U), false, BindingMode.U));
        objects.setInstancesForObject(LwM2mId.DEVICE, new Device());
        objects.setInstancesForObject(Temperature.OBJECT, temperature);
        objects.setInstancesForObject(TEST_OBJECT, new LwM2mTestObject());
        LeshanClientBuilder builder = new LeshanClientBuilder(endpoint);
        builder.setObjects(objects.createAll());
        CaliforniumClientEndpointsProvider.Builder endpoints = new CaliforniumClientEndpointsProvider.Builder(
                new CoapClientProtocolProvider(), new CoapsClientProtocolProvider());
        Configuration configuration = endpoints.createDefaultConfiguration();
        dtls.configure(configuration);
        builder.setEndpointsProviders(endpoints.setConfiguration(configuration).build());
        builder.setDataSenders(new ManualDataSender());
        return builder.build();
    }

    private static void send(LeshanClient client, String[] words) throws InterruptedException {
        List<String> paths = List.of(words).subList(1, words.length);
        SendResponse response =
                client.getSendService().sendData(server(client), ContentFormat.fromCode(words[0]), paths, PATIENCE_MS);
        say("sent " + (response == null ? "in vain" : response.getCode()));
    }

    private static ManualDataSender collector(LeshanClient client) {
        return client.getSendService().getDataSender(ManualDataSender.DEFAULT_NAME, ManualDataSender.class);
    }

    private static LwM2mServer server(LeshanClient client) {
        return client.getRegisteredServers().values().iterator().next();
    }

    private static List<LwM2mPath> paths(String[] words) {
        List<LwM2mPath> paths = new ArrayList<>();
        for (String word : words) {
            paths.add(new LwM2mPath(word));
        }
        return paths;
    }

    private static synchronized void say(String line) {
        System.out.println(line);
        System.out.flush();
    }

    /** Object 3: some readable resources, a writable one (UTC Offset) and an executable one (Reboot). */
    public static final class Device extends BaseInstanceEnabler {
        private String offset = "+01";

        @Override
        public ReadResponse read(LwM2mServer server, int resource) {
            switch (resource) {
            case 0:
                return ReadResponse.success(resource, "Tidegate");
            case 1:
                return ReadResponse.success(resource, "Leshan device");
            case 6:
                return ReadResponse.success(resource, Map.of(0, 1L, 1, 5L), Type.INTEGER);
            case 7:
                return ReadResponse.success(resource, Map.of(0, 3800L, 1, 5000L), Type.INTEGER);
            case 8:
                return ReadResponse.success(resource, Map.of(0, 125L, 1, -900L), Type.INTEGER);
            case 9:
                return ReadResponse.success(resource, 87L);
            case 11:
                return ReadResponse.success(resource, Map.of(0, 0L), Type.INTEGER);
            case 14:
                return ReadResponse.success(resource, offset);
            case 16:
                return ReadResponse.success(resource, "U");
            default:
                return ReadResponse.notFound();
            }
        }

        @Override
        public WriteResponse write(LwM2mServer server, boolean replace, int id, LwM2mResource resource) {
            if (id != 14) {
                return WriteResponse.methodNotAllowed();
            }
            offset = (String) resource.getValue();
            say("written /3/0/14 " + offset);
            fireResourceChange(id);
            return WriteResponse.success();
        }

        @Override
        public ExecuteResponse execute(LwM2mServer server, int resource, Arguments arguments) {
            if (resource != 4) {
                return ExecuteResponse.methodNotAllowed();
            }
            say("executed /3/0/4 " + arguments.serialize());
            return ExecuteResponse.success();
        }

        @Override
        public List<Integer> getAvailableResourceIds(ObjectModel model) {
            return List.of(0, 1, 4, 6, 7, 8, 9, 11, 14, 16);
        }
    }

    /** Object 3303 with a value that changes when told. */
    public static final class Temperature extends BaseInstanceEnabler {
        static final int OBJECT = 3303;
        static final ObjectModel MODEL = new ObjectModel(OBJECT, "Temperature", "", "1.0", true, false,
                new ResourceModel(5700, "Sensor Value", Operations.R, false, true, Type.FLOAT, "", "", ""),
                new ResourceModel(5701, "Sensor Units", Operations.R, false, false, Type.STRING, "", "", ""));

        private double value = 20.5;

        synchronized void change(double changed) {
            value = changed;
            fireResourceChange(5700);
        }

        @Override
        public synchronized ReadResponse read(LwM2mServer server, int resource) {
            switch (resource) {
            case 5700:
                return ReadResponse.success(resource, value);
            case 5701:
                return ReadResponse.success(resource, "Cel");
            default:
                return ReadResponse.notFound();
            }
        }
    }

    /** Prints how registering goes. */
    private static final class Printer extends LwM2mClientObserverAdapter {
        @Override
        public void onRegistrationSuccess(LwM2mServer server, RegisterRequest request, String registration) {
            say("registered");
        }

        @Override
        public void onRegistrationFailure(LwM2mServer server, RegisterRequest request, ResponseCode code, String message,
                Exception cause) {
            say("registration refused " + code + " " + message + (cause == null ? "" : " " + cause));
        }

        @Override
        public void onRegistrationTimeout(LwM2mServer server, RegisterRequest request) {
            say("registration timed out");
        }

        @Override
        public void onUpdateTimeout(LwM2mServer server, UpdateRequest request) {
            say("update timed out");
        }

        @Override
        public void onUpdateSuccess(LwM2mServer server, UpdateRequest request) {
            say("updated");
        }

        @Override
        public void onDeregistrationSuccess(LwM2mServer server, DeregisterRequest request) {
            say("deregistered");
        }

        @Override
        public void onUnexpectedError(Throwable error) {
            say("error " + error);
        }
    }
}

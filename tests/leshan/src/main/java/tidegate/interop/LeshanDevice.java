package tidegate.interop;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;

import org.eclipse.leshan.client.LeshanClient;
import org.eclipse.leshan.client.LeshanClientBuilder;
import org.eclipse.leshan.client.object.Security;
import org.eclipse.leshan.client.object.Server;
import org.eclipse.leshan.client.observer.LwM2mClientObserverAdapter;
import org.eclipse.leshan.client.resource.BaseInstanceEnabler;
import org.eclipse.leshan.client.resource.ObjectsInitializer;
import org.eclipse.leshan.client.servers.LwM2mServer;
import org.eclipse.leshan.core.LwM2mId;
import org.eclipse.leshan.core.ResponseCode;
import org.eclipse.leshan.core.model.ObjectLoader;
import org.eclipse.leshan.core.model.ObjectModel;
import org.eclipse.leshan.core.model.ResourceModel;
import org.eclipse.leshan.core.model.ResourceModel.Operations;
import org.eclipse.leshan.core.model.ResourceModel.Type;
import org.eclipse.leshan.core.model.StaticModel;
import org.eclipse.leshan.core.node.LwM2mResource;
import org.eclipse.leshan.core.request.BindingMode;
import org.eclipse.leshan.core.request.DeregisterRequest;
import org.eclipse.leshan.core.request.RegisterRequest;
import org.eclipse.leshan.core.request.UpdateRequest;
import org.eclipse.leshan.core.request.argument.Arguments;
import org.eclipse.leshan.core.response.ExecuteResponse;
import org.eclipse.leshan.core.response.ReadResponse;
import org.eclipse.leshan.core.response.WriteResponse;
import org.eclipse.leshan.transport.californium.client.endpoint.CaliforniumClientEndpointsProvider;

/**
 * A device with the objects Security, Server, Device and Temperature (3303). Arguments: the server's URI and the
 * endpoint name. What happens to it is printed, one line each; lines on its input drive it: {@code notify VALUE}
 * changes the temperature, {@code update} renews the registration, {@code quit} deregisters and ends.
 */
public final class LeshanDevice {
    public static void main(String[] arguments) throws Exception {
        System.setProperty("org.slf4j.simpleLogger.defaultLogLevel", "warn");
        Temperature temperature = new Temperature();
        LeshanClient client = client(arguments[0], arguments[1], temperature);
        client.addObserver(new Printer());
        client.start();
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = input.readLine(); line != null && !line.equals("quit"); line = input.readLine()) {
            if (line.startsWith("notify ")) {
                temperature.change(Double.parseDouble(line.substring("notify ".length())));
            } else if (line.equals("update")) {
                client.triggerRegistrationUpdate();
            } else {
                say("unknown command " + line);
            }
        }
        client.destroy(true);
    }

    private static LeshanClient client(String server, String endpoint, Temperature temperature) {
        List<ObjectModel> models = new ArrayList<>(ObjectLoader.loadDefault());
        models.removeIf(model -> model.id == Temperature.OBJECT);
        models.add(Temperature.MODEL);
        ObjectsInitializer objects = new ObjectsInitializer(new StaticModel(models));
        objects.setInstancesForObject(LwM2mId.SECURITY, Security.noSec(server, 1));
        objects.setInstancesForObject(LwM2mId.SERVER,
                new Server(1, 300, EnumSet.of(BindingMode.U), false, BindingMode.U));
        objects.setInstancesForObject(LwM2mId.DEVICE, new Device());
        objects.setInstancesForObject(Temperature.OBJECT, temperature);
        LeshanClientBuilder builder = new LeshanClientBuilder(endpoint);
        builder.setObjects(objects.createAll());
        builder.setEndpointsProviders(new CaliforniumClientEndpointsProvider());
        return builder.build();
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
            case 9:
                return ReadResponse.success(resource, 87L);
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
            return List.of(0, 1, 4, 9, 14, 16);
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
            say("registration refused " + code + " " + message);
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

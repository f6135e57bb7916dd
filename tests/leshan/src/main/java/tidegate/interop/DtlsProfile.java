package tidegate.interop;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import java.util.concurrent.TimeUnit;

import org.eclipse.californium.elements.config.Configuration;
import org.eclipse.californium.scandium.config.DtlsConfig;
import org.eclipse.californium.scandium.dtls.cipher.CipherSuite;
import org.eclipse.leshan.client.object.Security;
import org.eclipse.leshan.core.CertificateUsage;

/**
 * How the device secures its association, from arguments {@code name=value}: {@code identity} and {@code key} (hex) for a
 * pre-shared key; {@code public}, {@code private} and {@code server}, files of DER, for raw public keys;
 * {@code certificate}, {@code private} and {@code server} for certificates, of which that of the server is the one that
 * it must show. {@code suite} is the one to offer, {@code cid} how long a connection ID the device wants to be sent; without
 * it, it asks for none. {@code impatient} is to give up on an unfinished handshake soon.
 */
final class DtlsProfile {
    private final Map<String, String> values = new HashMap<>();

    DtlsProfile(String[] arguments, int from) {
        for (int at = from; at < arguments.length; at++) {
            String[] parts = arguments[at].split("=", 2);
            values.put(parts[0], parts.length > 1 ? parts[1] : "");
        }
    }

    Security security(String server) throws Exception {
        if (values.containsKey("identity")) {
            return Security.psk(server, 1, values.get("identity").getBytes(StandardCharsets.UTF_8),
                    HexFormat.of().parseHex(values.get("key")));
        }
        if (values.containsKey("public")) {
            return Security.rpk(server, 1, file("public"), file("private"), file("server"));
        }
        if (values.containsKey("certificate")) {
            return Security.x509(server, 1, file("certificate"), file("private"), file("server"),
                    CertificateUsage.DOMAIN_ISSUER_CERTIFICATE.code);
        }
        return Security.noSec(server, 1);
    }

    void configure(Configuration configuration) {
        configuration.set(DtlsConfig.DTLS_CONNECTION_ID_LENGTH, Integer.valueOf(values.getOrDefault("cid", "-1")));
        if (values.containsKey("suite")) {
            configuration.set(DtlsConfig.DTLS_RECOMMENDED_CIPHER_SUITES_ONLY, false);
            configuration.setAsList(DtlsConfig.DTLS_CIPHER_SUITES, CipherSuite.valueOf(values.get("suite")));
        }
        if (values.containsKey("impatient")) {
            configuration.set(DtlsConfig.DTLS_RETRANSMISSION_TIMEOUT, 200, TimeUnit.MILLISECONDS);
            configuration.set(DtlsConfig.DTLS_MAX_RETRANSMISSIONS, 1);
        }
    }

    private byte[] file(String name) throws Exception {
        return Files.readAllBytes(Path.of(values.get(name)));
    }
}

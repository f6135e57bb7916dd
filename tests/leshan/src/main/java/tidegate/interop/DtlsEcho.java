package tidegate.interop;

import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.security.spec.X509EncodedKeySpec;
import java.util.HexFormat;
import java.util.Scanner;

import org.eclipse.californium.elements.RawData;
import org.eclipse.californium.elements.auth.RawPublicKeyIdentity;
import org.eclipse.californium.elements.config.Configuration;
import org.eclipse.californium.scandium.DTLSConnector;
import org.eclipse.californium.scandium.config.DtlsConfig;
import org.eclipse.californium.scandium.config.DtlsConfig.DtlsRole;
import org.eclipse.californium.scandium.config.DtlsConnectorConfig;
import org.eclipse.californium.scandium.dtls.CertificateType;
import org.eclipse.californium.scandium.dtls.cipher.CipherSuite;
import org.eclipse.californium.scandium.dtls.pskstore.SinglePskStore;
import org.eclipse.californium.scandium.dtls.x509.SingleCertificateProvider;
import org.eclipse.californium.scandium.dtls.x509.StaticCertificateVerifier;

/**
 * A DTLS server on Californium that sends back what it gets, to be measured beside Tidegate. Arguments: a folder with
 * {@code server.der}, {@code server.key.der}, {@code authority.der} and {@code raw.der}, a PSK identity and its key in hex.
 * It prints its port. A line on its input has it collect garbage and print a line when that is done.
 */
public final class DtlsEcho {
    public static void main(String[] arguments) throws Exception {
        Path folder = Path.of(arguments[0]);
        Certificate server = certificate(folder.resolve("server.der"));
        KeyFactory keys = KeyFactory.getInstance("EC");
        PrivateKey key = keys.generatePrivate(
                new PKCS8EncodedKeySpec(Files.readAllBytes(folder.resolve("server.key.der"))));
        PublicKey raw = keys.generatePublic(new X509EncodedKeySpec(Files.readAllBytes(folder.resolve("raw.der"))));

        Configuration configuration = new Configuration();
        configuration.set(DtlsConfig.DTLS_ROLE, DtlsRole.SERVER_ONLY);
        configuration.set(DtlsConfig.DTLS_MAX_CONNECTIONS, 20_000);
        configuration.set(DtlsConfig.DTLS_RECOMMENDED_CIPHER_SUITES_ONLY, false);
        configuration.setAsList(DtlsConfig.DTLS_CIPHER_SUITES, CipherSuite.TLS_PSK_WITH_AES_128_CCM_8,
                CipherSuite.TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8);
        DTLSConnector connector = new DTLSConnector(new DtlsConnectorConfig.Builder(configuration)
                .setAddress(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0))
                .setPskStore(new SinglePskStore(arguments[1], HexFormat.of().parseHex(arguments[2])))
                .setCertificateIdentityProvider(new SingleCertificateProvider(key, new Certificate[] { server },
                        CertificateType.X_509, CertificateType.RAW_PUBLIC_KEY))
                .setCertificateVerifier(new StaticCertificateVerifier.Builder()
                        .setTrustedCertificates(certificate(folder.resolve("authority.der")))
                        .setTrustedRPKs(new RawPublicKeyIdentity(raw)).build())
                .build());
        connector.setRawDataReceiver(data -> connector.send(RawData.outbound(data.getBytes(),
                data.getEndpointContext(), null, false)));
        connector.start();
        System.out.println(connector.getAddress().getPort());
        try (Scanner lines = new Scanner(System.in, StandardCharsets.UTF_8)) {
            while (lines.hasNextLine()) {
                lines.nextLine();
                System.gc();
                System.out.println("collected");
            }
        }
        connector.destroy();
    }

    private static Certificate certificate(Path file) throws Exception {
        try (var stream = Files.newInputStream(file)) {
            return CertificateFactory.getInstance("X.509").generateCertificate(stream);
        }
    }
}

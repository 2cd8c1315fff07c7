import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsParameters;
import com.sun.net.httpserver.HttpsServer;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.HttpURLConnection;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.URL;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.security.KeyStore;
import java.security.SecureRandom;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicLong;
import javax.net.ssl.HttpsURLConnection;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocketFactory;
import javax.net.ssl.TrustManager;
import javax.net.ssl.X509TrustManager;

/**
 * A web service and a client of Java, with the laboratory's delays.
 *
 * <p>serve ADDRESS PORT TLS KEYSTORE FAST SLOW EVERY, use URL TLS COUNT, http2 URL TLS SHARES. The
 * client writes the time to the first byte of each answer, in ns.
 */
public final class Lab {
    private static final char[] PASSWORD = "laboratory".toCharArray();

    public static void main(String[] words) throws Exception {
        System.setProperty("sun.net.httpserver.nodelay", "true");
        switch (words[0]) {
            case "serve" -> serve(words);
            case "use" -> use(words[1], words[2], words[3]);
            default -> useHttp2(words[1], words[2], words[3]);
        }
    }

    private static void serve(String[] words) throws Exception {
        InetSocketAddress address = new InetSocketAddress(words[1], Integer.parseInt(words[2]));
        String version = words[3];
        HttpServer server;
        if (version.equals("-")) {
            server = HttpServer.create(address, 512);
        } else {
            HttpsServer secure = HttpsServer.create(address, 512);
            secure.setHttpsConfigurator(new HttpsConfigurator(serverContext(words[4])) {
                @Override
                public void configure(HttpsParameters parameters) {
                    SSLParameters own = getSSLContext().getDefaultSSLParameters();
                    own.setProtocols(new String[] {"TLSv" + version});
                    parameters.setSSLParameters(own);
                }
            });
            server = secure;
        }
        long fast = Long.parseLong(words[5]);
        long slow = Long.parseLong(words[6]);
        long every = Long.parseLong(words[7]);
        AtomicLong number = new AtomicLong();
        server.setExecutor(Executors.newCachedThreadPool());
        server.createContext("/", exchange -> {
            pause(number.getAndIncrement() % every == every - 1 ? slow : fast);
            answer(exchange);
        });
        server.start();
    }

    private static void answer(HttpExchange exchange) throws IOException {
        byte[] body = "hello\n".getBytes();
        exchange.sendResponseHeaders(200, body.length);
        try (OutputStream out = exchange.getResponseBody()) {
            out.write(body);
        }
    }

    private static void pause(long ms) {
        try {
            Thread.sleep(ms);
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
        }
    }

    private static SSLContext serverContext(String path) throws Exception {
        KeyStore store = KeyStore.getInstance("PKCS12");
        try (InputStream file = new FileInputStream(path)) {
            store.load(file, PASSWORD);
        }
        KeyManagerFactory keys = KeyManagerFactory.getInstance("SunX509");
        keys.init(store, PASSWORD);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(keys.getKeyManagers(), null, null);
        return context;
    }

    private static SSLContext clientContext() throws Exception {
        TrustManager anybody = new X509TrustManager() {
            @Override
            public void checkClientTrusted(X509Certificate[] chain, String kind) {}

            @Override
            public void checkServerTrusted(X509Certificate[] chain, String kind) {}

            @Override
            public X509Certificate[] getAcceptedIssuers() {
                return new X509Certificate[0];
            }
        };
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, new TrustManager[] {anybody}, new SecureRandom());
        return context;
    }

    /** Opens the connection first, so that the time is the request's alone; keeps it. */
    private static void use(String address, String version, String count) throws Exception {
        System.setProperty("https.protocols", "TLSv" + version);
        SSLSocketFactory factory = clientContext().getSocketFactory();
        List<Long> times = new ArrayList<>();
        for (int left = Integer.parseInt(count); left > 0; left--) {
            HttpURLConnection connection = (HttpURLConnection) new URL(address).openConnection();
            if (connection instanceof HttpsURLConnection secure) {
                secure.setSSLSocketFactory(factory);
                secure.setHostnameVerifier((name, session) -> true);
            }
            connection.connect();
            long start = System.nanoTime();
            connection.getResponseCode();
            times.add(System.nanoTime() - start);
            try (InputStream body = connection.getInputStream()) {
                body.readAllBytes();
            }
        }
        System.out.println("{\"times_ns\": " + times + "}");
    }

    private static void useHttp2(String address, String version, String shares) throws Exception {
        SSLParameters parameters = new SSLParameters();
        parameters.setProtocols(new String[] {"TLSv" + version});
        List<Long> times = new ArrayList<>();
        for (String share : shares.split(",")) {
            HttpClient client = HttpClient.newBuilder()
                    .version(HttpClient.Version.HTTP_2)
                    .sslContext(clientContext())
                    .sslParameters(parameters)
                    .build();
            for (int left = Integer.parseInt(share); left > 0; left--) {
                HttpRequest request = HttpRequest.newBuilder(URI.create(address)).build();
                long start = System.nanoTime();
                client.send(request, HttpResponse.BodyHandlers.ofString());
                times.add(System.nanoTime() - start);
            }
        }
        System.out.println("{\"times_ns\": " + times + "}");
    }
}

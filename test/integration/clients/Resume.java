// SPDX-License-Identifier: Apache-2.0

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.security.cert.X509Certificate;
import java.time.Duration;
import java.util.Collections;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.TrustManager;
import javax.net.ssl.X509ExtendedTrustManager;

/**
 * Java's HTTP client, asked over standard input and answering a line for each line:
 *
 *     PORT HOST 1.2|1.3 http/1.1|h2 N   N connections, one after the other, of one client
 *
 * The answer says for each connection: resumed? tickets that came (-: cannot be told), the server's word,
 * HTTP version, status.
 */
class Resume {
    private static final class Trusting extends X509ExtendedTrustManager {
        @Override public void checkClientTrusted(X509Certificate[] chain, String type) {}
        @Override public void checkClientTrusted(X509Certificate[] chain, String type, Socket socket) {}
        @Override public void checkClientTrusted(X509Certificate[] chain, String type, SSLEngine engine) {}
        @Override public void checkServerTrusted(X509Certificate[] chain, String type) {}
        @Override public void checkServerTrusted(X509Certificate[] chain, String type, Socket socket) {}
        @Override public void checkServerTrusted(X509Certificate[] chain, String type, SSLEngine engine) {}
        @Override public X509Certificate[] getAcceptedIssuers() {
            return new X509Certificate[0];
        }
    }

    private static int kept(SSLContext context) {
        return Collections.list(context.getClientSessionContext().getIds()).size();
    }

    private static String visit(String[] words, SSLContext context) throws Exception {
        SSLParameters parameters = new SSLParameters();
        parameters.setProtocols(new String[] {"TLSv" + words[2]});
        boolean isHttp2 = words[3].equals("h2");
        HttpClient client = HttpClient.newBuilder().sslContext(context).sslParameters(parameters)
            .version(isHttp2 ? HttpClient.Version.HTTP_2 : HttpClient.Version.HTTP_1_1).build();
        HttpRequest request = HttpRequest.newBuilder().timeout(Duration.ofSeconds(20))
            .uri(URI.create("https://" + words[1] + ":" + words[0] + "/index.html")).build();
        int before = kept(context);
        Thread.sleep(2);
        long began = System.currentTimeMillis();
        HttpResponse<String> reply = client.send(request, HttpResponse.BodyHandlers.ofString());
        // JSSE has no word for it; a resumed session is as old as the handshake that made it.
        boolean isResumed = reply.sslSession().get().getCreationTime() < began;
        return isResumed + "," + (words[2].equals("1.3") ? tickets(context, before, isResumed) : "-") + ","
            + reply.headers().firstValue("X-Resumed").orElse("") + ","
            + (reply.version() == HttpClient.Version.HTTP_2 ? 2 : 1) + "," + reply.statusCode();
    }

    /** JSSE keeps a session for each ticket, takes out the one that it uses, and adds that of a full handshake. */
    private static int tickets(SSLContext context, int before, boolean isResumed) {
        return kept(context) - before + (isResumed ? 1 : -1);
    }

    public static void main(String[] arguments) throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] words = line.split(" ");
            SSLContext context = SSLContext.getInstance("TLS");
            context.init(null, new TrustManager[] {new Trusting()}, null);
            StringBuilder answer = new StringBuilder();
            for (int i = 0; i < Integer.parseInt(words[4]); i++) {
                String seen;
                try {
                    seen = visit(words, context);
                } catch (Exception error) {
                    seen = "error:" + error.toString().replaceAll("\\s", "_");
                }
                answer.append(i == 0 ? "" : " ").append(seen);
            }
            System.out.println(answer);
        }
        System.exit(0); // threads of clients whose HTTP/2 connections are open
    }
}

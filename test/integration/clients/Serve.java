// SPDX-License-Identifier: Apache-2.0
// A server of Java's own TLS, which makes the keys of its tickets itself, by the SSLContext's SecureRandom.
// With "zero", that gives zeros to whoever makes a key, and is good otherwise.  Loopback only.
// Usage: java Serve.java PORT KEYSTORE PASSWORD random|zero
import java.io.FileInputStream;
import java.net.InetAddress;
import java.security.KeyStore;
import java.security.SecureRandom;
import java.util.Arrays;
import java.util.concurrent.Executors;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLServerSocket;
import javax.net.ssl.SSLSocket;

public class Serve {
    static class Weak extends SecureRandom {
        @Override
        public void nextBytes(byte[] bytes) {
            super.nextBytes(bytes);
            if (StackWalker.getInstance().walk(frames -> frames.anyMatch(frame ->
                    frame.getClassName().equals("javax.crypto.KeyGenerator")))) {
                Arrays.fill(bytes, (byte) 0);
            }
        }
    }

    static void serve(SSLSocket socket) {
        try (socket) {
            socket.setSoTimeout(5000);
            socket.getInputStream().read(new byte[4096]);
        } catch (Exception e) {
            // The probe ends connections as it likes.
        }
    }

    public static void main(String[] args) throws Exception {
        char[] password = args[2].toCharArray();
        KeyStore store = KeyStore.getInstance("PKCS12");
        try (FileInputStream in = new FileInputStream(args[1])) {
            store.load(in, password);
        }
        KeyManagerFactory keys = KeyManagerFactory.getInstance("PKIX");
        keys.init(store, password);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(keys.getKeyManagers(), null, args[3].equals("zero") ? new Weak() : null);
        SSLServerSocket server = (SSLServerSocket) context.getServerSocketFactory().createServerSocket(
                Integer.parseInt(args[0]), 128, InetAddress.getByName("127.0.0.1"));
        var pool = Executors.newCachedThreadPool();
        while (true) {
            SSLSocket socket = (SSLSocket) server.accept();
            pool.submit(() -> serve(socket));
        }
    }
}

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

/** Posts every second argument to the one before it, twice, over one client with Java's defaults. */
public class Client {
    public static void main(String[] arguments) throws Exception {
        HttpClient client = HttpClient.newHttpClient();
        for (int number = 0; number < arguments.length * 2; number += 2) {
            int at = number % arguments.length;
            HttpRequest request = HttpRequest.newBuilder(URI.create(arguments[at]))
                .POST(HttpRequest.BodyPublishers.ofString(arguments[at + 1]))
                .build();
            HttpResponse<String> response = client.send(request, HttpResponse.BodyHandlers.ofString());
            System.out.println(response.statusCode() + " " + response.body());
        }
    }
}

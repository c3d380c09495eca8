// Shows the description that this server gives of itself; beside it, so that a prefix of a proxy does no harm.
const url = new URL("openapi.json", document.baseURI).href;

function show(key) {
  const ui = SwaggerUIBundle({
    url,
    dom_id: "#swagger-ui",
    deepLinking: true,
    docExpansion: "list",
    defaultModelsExpandDepth: 0,
    validatorUrl: null,
    requestInterceptor: (request) => {
      if (key && request.loadSpec) request.headers.Authorization = `Bearer ${key}`;
      return request;
    },
    onComplete: () => key && ui.preauthorizeApiKey("key", key),
  });
}

// Where requests need an API key, the description does, too. This page alone knows the key, until it is left.
function ask() {
  const form = document.createElement("form");
  const key = Object.assign(document.createElement("input"), { type: "password", autocomplete: "off", required: true });
  const label = document.createElement("label");
  label.append("API key ", key);
  form.append(label, Object.assign(document.createElement("button"), { textContent: "Show" }));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    form.remove();
    begin(key.value);
  });
  document.body.prepend(form);
  key.focus();
}

async function begin(key) {
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  const { status } = await fetch(url, { method: "HEAD", headers });
  if (status === 401) ask();
  else show(key);
}

begin();

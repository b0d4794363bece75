// All URLs are relative to this page: a proxy may serve it below a path.
const base = new URL("./", window.location.href);

// The form for users comes first in the dialog, without what users do not have: a client id, and the
// other ways to send the static key.
function simplify(spec) {
  spec.servers = [{ url: base.href.replace(/\/$/, "") }];
  const { OAuth2PasswordBearer: user, StaticKeyBasic: omitted, ...others } = spec.components.securitySchemes;
  user.flows.password.tokenUrl = new URL("token", base).href;
  user.flows.password.scopes = {};
  user.description = "Sign in with your e-mail address as the username.";
  spec.components.securitySchemes = { OAuth2PasswordBearer: user, ...others };
  for (const methods of Object.values(spec.paths)) {
    for (const operation of Object.values(methods)) {
      const isKept = (requirement) => !("StaticKeyBasic" in requirement);
      operation.security = operation.security?.filter(isKept).map((requirement) =>
        "OAuth2PasswordBearer" in requirement ? { OAuth2PasswordBearer: [] } : requirement);
    }
  }
  // An address that is free, so that the example can be sent as it is.
  const suffix = Math.random().toString(36).slice(2, 8);
  const fresh = JSON.stringify(spec).replaceAll(/\bandres@example\.com\b/g, `andres.${suffix}@example.com`);
  return JSON.parse(fresh);
}

// Swagger UI puts the cursor into the last field, which is that of the static key.
function focusFirstField() {
  document.addEventListener("click", (event) => {
    if (event.target.closest(".btn.authorize, .authorization__btn")) {
      setTimeout(() => document.getElementById("oauth_username")?.focus());
    }
  });
}

function followTheme() {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const apply = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
  dark.addEventListener("change", apply);
  apply();
}

async function start() {
  followTheme();
  focusFirstField();
  const response = await fetch(new URL("openapi.json", base));
  SwaggerUIBundle({
    spec: simplify(await response.json()),
    dom_id: "#swagger-ui",
    presets: [SwaggerUIBundle.presets.apis, SwaggerUIBundle.SwaggerUIStandalonePreset],
    deepLinking: true,
    displayRequestDuration: true,
    persistAuthorization: true,
    oauth2RedirectUrl: new URL("docs/oauth2-redirect", base).href,
  });
}

start();

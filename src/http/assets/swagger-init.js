SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIBundle.SwaggerUIStandalonePreset],
  deepLinking: true,
  displayRequestDuration: true,
  oauth2RedirectUrl: window.location.origin + "/docs/oauth2-redirect.html",
});

//! The texts of the account pages.

use super::texts;

texts! {
    /// The texts of the account pages.
    AccountTexts
    profile: "Profile", "Profil", "Perfil", "Profil";
    profile_hint: "What apps and administrators see of you.",
        "Was Apps und die Verwaltung von Ihnen sehen.",
        "Lo que ven de ti las aplicaciones y la administración.",
        "Ce que les applications et les administrateurs voient de vous.";
    email: "E-mail address", "E-Mail-Adresse", "Correo electrónico", "Adresse e-mail";
    name: "Name", "Name", "Nombre", "Nom";
    surname: "Surname", "Nachname", "Apellidos", "Nom de famille";
    website: "Website", "Website", "Sitio web", "Site web";
    saved: "Your changes are saved.", "Ihre Änderungen sind gespeichert.",
        "Los cambios se han guardado.", "Vos modifications sont enregistrées.";
    sessions: "Sessions", "Sitzungen", "Sesiones", "Sessions";
    sessions_hint: "Where you are signed in. End what you do not recognise.",
        "Wo Sie angemeldet sind. Beenden Sie, was Sie nicht kennen.",
        "Dónde tienes la sesión iniciada. Cierra lo que no reconozcas.",
        "Là où vous êtes connecté. Mettez fin à ce que vous ne reconnaissez pas.";
    this_session: "This browser", "Dieser Browser", "Este navegador", "Ce navigateur";
    of_browser: "Browser", "Browser", "Navegador", "Navigateur";
    of_app: "App", "App", "Aplicación", "Application";
    last_used: "Last used {when}", "Zuletzt benutzt {when}", "Último uso: {when}", "Dernière utilisation : {when}";
    ends_at: "Ends on {when}", "Endet am {when}", "Termina el {when}", "Prend fin le {when}";
    end: "End", "Beenden", "Cerrar", "Mettre fin";
    end_named: "End the session “{name}”", "Sitzung „{name}“ beenden",
        "Cerrar la sesión «{name}»", "Mettre fin à la session « {name} »";
    end_others: "End all other sessions", "Alle anderen Sitzungen beenden",
        "Cerrar todas las demás sesiones", "Mettre fin à toutes les autres sessions";
    ended: "The session has ended.", "Die Sitzung ist beendet.",
        "La sesión se ha cerrado.", "La session est terminée.";
    others_ended: "All other sessions have ended.", "Alle anderen Sitzungen sind beendet.",
        "Las demás sesiones se han cerrado.", "Toutes les autres sessions sont terminées.";
    now: "just now", "gerade eben", "ahora mismo", "à l’instant";
    minutes_ago: "{n} minute ago|{n} minutes ago", "vor {n} Minute|vor {n} Minuten",
        "hace {n} minuto|hace {n} minutos", "il y a {n} minute|il y a {n} minutes";
    hours_ago: "{n} hour ago|{n} hours ago", "vor {n} Stunde|vor {n} Stunden",
        "hace {n} hora|hace {n} horas", "il y a {n} heure|il y a {n} heures";
    days_ago: "{n} day ago|{n} days ago", "vor {n} Tag|vor {n} Tagen",
        "hace {n} día|hace {n} días", "il y a {n} jour|il y a {n} jours";
}

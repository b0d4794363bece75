//! The texts of the console's overview.

use super::texts;

texts! {
    /// The texts of the overview.
    OverviewTexts
    hint: "The last {n} hours, in UTC. A minute may pass until something shows.",
        "Die letzten {n} Stunden, in UTC. Bis etwas zu sehen ist, kann eine Minute vergehen.",
        "Las últimas {n} horas, en UTC. Puede pasar un minuto hasta que algo se vea.",
        "Les {n} dernières heures, en UTC. Une minute peut s’écouler avant l’affichage.";
    day: "24 hours", "24 Stunden", "24 horas", "24 heures";
    week: "7 days", "7 Tage", "7 días", "7 jours";
    period: "Period", "Zeitraum", "Período", "Période";
    sign_ins: "Sign-ins", "Anmeldungen", "Inicios de sesión", "Connexions";
    ok: "Signed in", "Angemeldet", "Con éxito", "Réussies";
    refused: "Refused", "Abgelehnt", "Rechazados", "Refusées";
    refusals: "Refusals by reason", "Ablehnungen nach Grund", "Rechazos por motivo", "Refus par motif";
    limits: "Requests refused by a limit", "Von einer Grenze abgelehnte Anfragen",
        "Peticiones rechazadas por un límite", "Requêtes refusées par une limite";
    limit: "Limit", "Grenze", "Límite", "Limite";
    limit_account: "Failed attempts at an account", "Fehlversuche an einem Konto",
        "Intentos fallidos en una cuenta", "Échecs sur un compte";
    limit_address: "Failed attempts from an address", "Fehlversuche von einer Adresse",
        "Intentos fallidos desde una dirección", "Échecs depuis une adresse";
    limit_registrations: "Registrations from an address", "Registrierungen von einer Adresse",
        "Registros desde una dirección", "Inscriptions depuis une adresse";
    limit_changes: "Changes by a user", "Änderungen durch ein Konto",
        "Cambios de un usuario", "Modifications par un compte";
    limit_keys: "New API keys of a user", "Neue API-Schlüssel eines Kontos",
        "Claves de API nuevas de un usuario", "Nouvelles clés d’API d’un compte";
    limit_sign_ins: "Sign-ins to an account", "Anmeldungen an einem Konto",
        "Inicios de sesión en una cuenta", "Connexions à un compte";
    limit_mails: "Mails that were asked for", "Angeforderte E-Mails", "Correos solicitados", "E-mails demandés";
    addresses: "Addresses refused most", "Am häufigsten abgelehnte Adressen",
        "Direcciones más rechazadas", "Adresses les plus refusées";
    sessions: "Live sessions", "Laufende Sitzungen", "Sesiones activas", "Sessions en cours";
    users: "Users", "Konten", "Usuarios", "Utilisateurs";
    waits: "Wait in the hash queue", "Wartezeit in der Hash-Schlange",
        "Espera en la cola de hash", "Attente dans la file de hachage";
    waits_hint: "How long passwords waited before a thread began to check them: 50 and 99 of 100 at most this long, in milliseconds.",
        "Wie lange Passwörter warteten, bis ein Thread sie zu prüfen begann: 50 und 99 von 100 höchstens so lange, in Millisekunden.",
        "Cuánto esperaron las contraseñas hasta que un hilo empezó a comprobarlas: 50 y 99 de cada 100 como máximo esto, en milisegundos.",
        "Combien de temps les mots de passe ont attendu avant qu’un thread les vérifie : 50 et 99 sur 100 au plus ce temps, en millisecondes.";
    p50: "50 of 100", "50 von 100", "50 de cada 100", "50 sur 100";
    p99: "99 of 100", "99 von 100", "99 de cada 100", "99 sur 100";
    longest_wait: "Longest wait", "Längste Wartezeit", "Espera más larga", "Attente la plus longue";
    empty: "No data in this period", "Keine Daten in diesem Zeitraum", "Sin datos en este período", "Aucune donnée sur cette période";
    table: "As a table", "Als Tabelle", "Como tabla", "Sous forme de tableau";
    hour: "Hour (UTC)", "Stunde (UTC)", "Hora (UTC)", "Heure (UTC)";
    axis: "Hours in UTC", "Stunden in UTC", "Horas en UTC", "Heures en UTC";
    count: "Number", "Anzahl", "Número", "Nombre";
    reason: "Reason", "Grund", "Motivo", "Motif";
    address: "Address", "Adresse", "Dirección", "Adresse";
    others: "Other addresses", "Andere Adressen", "Otras direcciones", "Autres adresses";
    unknown: "–", "–", "–", "–";
    // Reasons.
    wrong_password: "Wrong password", "Falsches Passwort", "Contraseña errónea", "Mot de passe erroné";
    unknown_user: "Unknown user", "Unbekanntes Konto", "Usuario desconocido", "Compte inconnu";
    throttled: "Too many attempts", "Zu viele Versuche", "Demasiados intentos", "Trop de tentatives";
    disabled: "Disabled user", "Gesperrtes Konto", "Usuario desactivado", "Compte désactivé";
    scope: "Missing permission", "Fehlende Berechtigung", "Permiso que falta", "Autorisation manquante";
    static_key: "Wrong static key", "Falscher statischer Schlüssel", "Clave estática errónea", "Clé statique erronée";
    sign_in_flood: "Sign-ins in a flood", "Anmeldungen in einer Flut", "Inicios de sesión en avalancha", "Connexions en rafale";
}

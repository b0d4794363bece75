//! The texts of the console's pages of apps, keys, settings and health.

use super::texts;

texts! {
    /// The texts of the pages of apps, keys, settings and health.
    SystemTexts
    // Apps and keys.
    apps_hint: "Programs that own keys, and the keys of all users.",
        "Programme mit eigenen Schlüsseln, und die Schlüssel aller Konten.",
        "Programas con claves propias, y las claves de todos los usuarios.",
        "Les programmes qui ont des clés, et les clés de tous les comptes.";
    apps: "Apps", "Apps", "Aplicaciones", "Applications";
    no_apps: "There are no apps.", "Es gibt keine Apps.", "No hay aplicaciones.", "Il n’y a pas d’applications.";
    apps_command: "On the server, “tokenhouse app create NAME” creates one.",
        "Auf dem Server legt „tokenhouse app create NAME“ eine an.",
        "En el servidor, «tokenhouse app create NOMBRE» crea una.",
        "Sur le serveur, « tokenhouse app create NOM » en crée une.";
    keys_of_app: "{n} key|{n} keys", "{n} Schlüssel|{n} Schlüssel", "{n} clave|{n} claves", "{n} clé|{n} clés";
    keys: "Keys of users", "Schlüssel der Konten", "Claves de los usuarios", "Clés des comptes";
    no_keys: "No user has a key.", "Kein Konto hat einen Schlüssel.",
        "Ningún usuario tiene claves.", "Aucun compte n’a de clé.";
    key: "Key", "Schlüssel", "Clave", "Clé";
    owner: "Owner", "Konto", "Usuario", "Compte";
    last_use: "Last use", "Zuletzt benutzt", "Último uso", "Dernière utilisation";
    end: "End", "Ende", "Fin", "Fin";
    // Settings.
    settings_hint: "The values in force and where they come from. Secrets are masked; a change takes effect after a restart.",
        "Die geltenden Werte und ihre Herkunft. Geheimnisse sind verdeckt; Änderungen gelten nach einem Neustart.",
        "Los valores vigentes y su origen. Los secretos se ocultan; los cambios valen tras reiniciar.",
        "Les valeurs en vigueur et leur origine. Les secrets sont masqués ; un changement prend effet au redémarrage.";
    changed: "Set here", "Hier gesetzt", "Definidos aquí", "Définis ici";
    unchanged: "Defaults", "Vorgaben", "Valores por defecto", "Valeurs par défaut";
    setting: "Setting", "Einstellung", "Ajuste", "Paramètre";
    value: "Value", "Wert", "Valor", "Valeur";
    source: "Source", "Herkunft", "Origen", "Origine";
    not_set: "not set", "nicht gesetzt", "sin definir", "non défini";
    no_settings: "Every setting has its default.", "Alle Einstellungen haben ihre Vorgabe.",
        "Todos los ajustes tienen su valor por defecto.", "Tous les paramètres ont leur valeur par défaut.";
    // Health.
    health_hint: "What is quickly checked. “tokenhouse doctor” on the server checks more.",
        "Was sich schnell prüfen lässt. „tokenhouse doctor“ auf dem Server prüft mehr.",
        "Lo que se comprueba rápido. «tokenhouse doctor» en el servidor comprueba más.",
        "Ce qui se vérifie vite. « tokenhouse doctor » sur le serveur en vérifie davantage.";
    fine: "OK", "In Ordnung", "Bien", "OK";
    warning: "Warning", "Warnung", "Aviso", "Avertissement";
    problem: "Problem", "Problem", "Problema", "Problème";
    database: "Database", "Datenbank", "Base de datos", "Base de données";
    database_ok: "It answers, within {ms} ms, and has all tables.", "Sie antwortet nach {ms} ms und hat alle Tabellen.",
        "Responde en {ms} ms y tiene todas las tablas.", "Elle répond en {ms} ms et a toutes les tables.";
    database_bad: "It does not answer, or tables are missing.", "Sie antwortet nicht, oder es fehlen Tabellen.",
        "No responde, o faltan tablas.", "Elle ne répond pas, ou des tables manquent.";
    clock: "Clock", "Uhr", "Reloj", "Horloge";
    clock_ok: "It agrees with the latest time seen.", "Sie passt zur letzten bekannten Zeit.",
        "Coincide con la última hora conocida.", "Elle concorde avec la dernière heure connue.";
    clock_bad: "It is far ahead of the latest time seen, so nothing is deleted for its age. Set it right, or confirm it with “tokenhouse audit prune --confirm”.",
        "Sie ist der letzten bekannten Zeit weit voraus; nichts wird wegen seines Alters gelöscht. Stellen Sie sie richtig, oder bestätigen Sie sie mit „tokenhouse audit prune --confirm“.",
        "Está muy por delante de la última hora conocida, así que no se borra nada por su antigüedad. Corrígelo o confírmalo con «tokenhouse audit prune --confirm».",
        "Elle est très en avance sur la dernière heure connue ; rien n’est donc supprimé pour son âge. Réglez-la, ou confirmez-la avec « tokenhouse audit prune --confirm ».";
    administrators: "Administrators", "Verwaltung", "Administradores", "Administrateurs";
    administrators_ok: "At least one can sign in.", "Mindestens ein Konto kann sich anmelden.",
        "Al menos uno puede iniciar sesión.", "Au moins un peut se connecter.";
    administrators_bad: "No user can administer others: “tokenhouse user grant” on the server can appoint one.",
        "Kein Konto kann andere verwalten: „tokenhouse user grant“ auf dem Server ernennt eines.",
        "Ningún usuario puede administrar a otros: «tokenhouse user grant» en el servidor nombra uno.",
        "Aucun compte ne peut en administrer d’autres : « tokenhouse user grant » sur le serveur en désigne un.";
    expiring: "Keys", "Schlüssel", "Claves", "Clés";
    expiring_ok: "None ends within 14 days.", "Keiner endet in den nächsten 14 Tagen.",
        "Ninguna termina en 14 días.", "Aucune ne prend fin dans les 14 jours.";
    expiring_bad: "{n} key ends within 14 days.|{n} keys end within 14 days.",
        "{n} Schlüssel endet in den nächsten 14 Tagen.|{n} Schlüssel enden in den nächsten 14 Tagen.",
        "{n} clave termina en 14 días.|{n} claves terminan en 14 días.",
        "{n} clé prend fin dans les 14 jours.|{n} clés prennent fin dans les 14 jours.";
    chain: "Audit trail", "Protokollkette", "Registro", "Journal";
    chain_ok: "The last verification has found nothing altered.", "Die letzte Prüfung hat nichts Verändertes gefunden.",
        "La última verificación no encontró nada alterado.", "La dernière vérification n’a rien trouvé d’altéré.";
    chain_unknown: "Not verified since the service started; the page of the events can do it.",
        "Seit dem Start des Dienstes nicht geprüft; das geht auf der Seite der Ereignisse.",
        "Sin verificar desde que arrancó el servicio; se puede hacer en la página de eventos.",
        "Non vérifié depuis le démarrage du service ; la page des événements permet de le faire.";
    chain_bad: "The last verification has found problems; the page of the events shows them.",
        "Die letzte Prüfung hat Probleme gefunden; die Seite der Ereignisse zeigt sie.",
        "La última verificación encontró problemas; la página de eventos los muestra.",
        "La dernière vérification a trouvé des problèmes ; la page des événements les montre.";
    configuration: "Settings", "Einstellungen", "Configuración", "Paramètres";
    configuration_ok: "Nothing to report.", "Nichts zu melden.", "Nada que indicar.", "Rien à signaler.";
    version: "Version {v}, started {when}.", "Version {v}, gestartet {when}.",
        "Versión {v}, arrancada {when}.", "Version {v}, démarrée {when}.";
}

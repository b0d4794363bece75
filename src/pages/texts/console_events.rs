//! The texts of the console's page of the events.

use super::texts;

texts! {
    /// The texts of the page of the events.
    EventsTexts
    hint: "What has happened, the newest first. The trail is chained, so that a change to it shows.",
        "Was geschehen ist, das Neueste zuerst. Die Einträge sind verkettet, so dass jede Veränderung auffällt.",
        "Lo que ha ocurrido, lo más reciente primero. El registro está encadenado, así que un cambio se nota.",
        "Ce qui s’est passé, du plus récent au plus ancien. Le journal est chaîné : toute modification se voit.";
    action: "Action", "Aktion", "Acción", "Action";
    any_action: "All actions", "Alle Aktionen", "Todas las acciones", "Toutes les actions";
    who: "User", "Konto", "Usuario", "Utilisateur";
    since: "From (UTC)", "Von (UTC)", "Desde (UTC)", "Du (UTC)";
    until: "Before (UTC)", "Vor (UTC)", "Antes de (UTC)", "Avant le (UTC)";
    filter: "Filter", "Filtern", "Filtrar", "Filtrer";
    older: "Older events", "Ältere Ereignisse", "Eventos anteriores", "Événements plus anciens";
    newest: "Newest events", "Neueste Ereignisse", "Eventos más recientes", "Événements les plus récents";
    nothing: "No events", "Keine Ereignisse", "Sin eventos", "Aucun événement";
    nothing_hint: "No event matches these filters.", "Zu diesen Filtern gibt es kein Ereignis.",
        "Ningún evento coincide con estos filtros.", "Aucun événement ne correspond à ces filtres.";
    unknown_user: "No user has this address.", "Kein Konto hat diese Adresse.",
        "Ningún usuario tiene esta dirección.", "Aucun compte n’a cette adresse.";
    bad_time: "Enter a date and time such as 2026-11-29T18:00.", "Geben Sie Datum und Uhrzeit an, etwa 2026-11-29T18:00.",
        "Escribe fecha y hora, como 2026-11-29T18:00.", "Indiquez une date et une heure, par exemple 2026-11-29T18:00.";
    // The chain.
    chain: "Audit trail", "Protokollkette", "Cadena del registro", "Chaîne du journal";
    last_event: "The last event is #{n}.", "Das letzte Ereignis ist Nr. {n}.",
        "El último evento es el n.º {n}.", "Le dernier événement est le n° {n}.";
    not_verified: "Not verified since the service started.", "Seit dem Start des Dienstes nicht geprüft.",
        "Sin verificar desde que arrancó el servicio.", "Non vérifiée depuis le démarrage du service.";
    verified: "{n} event verified, unaltered|{n} events verified, none altered",
        "{n} Ereignis geprüft, unverändert|{n} Ereignisse geprüft, keines verändert",
        "{n} evento verificado, sin alterar|{n} eventos verificados, ninguno alterado",
        "{n} événement vérifié, intact|{n} événements vérifiés, aucun altéré";
    problems: "{n} problem found|{n} problems found", "{n} Problem gefunden|{n} Probleme gefunden",
        "{n} problema encontrado|{n} problemas encontrados", "{n} problème trouvé|{n} problèmes trouvés";
    more_problems: "“tokenhouse audit verify” lists all of them.", "„tokenhouse audit verify“ zeigt alle.",
        "«tokenhouse audit verify» los muestra todos.", "« tokenhouse audit verify » les affiche tous.";
    took_too_long: "The trail is too long to be verified here: run “tokenhouse audit verify”.",
        "Die Kette ist zu lang, um sie hier zu prüfen: Rufen Sie „tokenhouse audit verify“ auf.",
        "El registro es demasiado largo para verificarlo aquí: ejecuta «tokenhouse audit verify».",
        "Le journal est trop long pour être vérifié ici : lancez « tokenhouse audit verify ».";
    verified_at: "Verified {when}", "Geprüft {when}", "Verificado {when}", "Vérifié {when}";
    verify: "Verify now", "Jetzt prüfen", "Verificar ahora", "Vérifier maintenant";
    good: "Intact", "Unversehrt", "Íntegra", "Intacte";
    bad: "Altered", "Verändert", "Alterada", "Altérée";
}

//! The texts of the console's page of mails.

use super::texts;

texts! {
    /// The texts of the page of mails.
    MailTexts
    heading: "Mails", "E-Mails", "Correos", "E-mails";
    // The queue.
    waiting: "Waiting", "Wartend", "En espera", "En attente";
    failed: "Failed", "Gescheitert", "Fallidos", "Échoués";
    none_failed: "No mail has failed in the last 30 days.", "In den letzten 30 Tagen ist keine E-Mail gescheitert.",
        "Ningún correo ha fallado en los últimos 30 días.", "Aucun e-mail n’a échoué au cours des 30 derniers jours.";
    retry: "Try again", "Erneut versuchen", "Reintentar", "Réessayer";
    retry_named: "Send the mail to {address} again", "E-Mail an {address} erneut senden",
        "Enviar de nuevo el correo a {address}", "Renvoyer l’e-mail à {address}";
    drop: "Drop", "Verwerfen", "Descartar", "Abandonner";
    drop_named: "Drop the mail to {address}", "E-Mail an {address} verwerfen",
        "Descartar el correo a {address}", "Abandonner l’e-mail à {address}";
    is_retried: "The mail is queued again.", "Die E-Mail wird erneut gesendet.",
        "El correo vuelve a estar en la cola.", "L’e-mail est de nouveau dans la file.";
    is_dropped: "The mail is dropped.", "Die E-Mail ist verworfen.", "El correo se ha descartado.", "L’e-mail est abandonné.";
    // What mails look like.
    samples: "What mails look like", "So sehen die E-Mails aus", "Así son los correos", "L’aspect des e-mails";
    kind: "Mail", "E-Mail", "Correo", "E-mail";
    language: "Language", "Sprache", "Idioma", "Langue";
    show: "Show", "Anzeigen", "Mostrar", "Afficher";
    as_html: "Open as HTML", "Als HTML öffnen", "Abrir como HTML", "Ouvrir en HTML";
    off: "The service sends no mail", "Der Dienst verschickt keine E-Mails",
        "El servicio no envía correos", "Le service n’envoie pas d’e-mails";
    off_hint: "The operator can set TOKENHOUSE_MAIL.", "Der Betreiber kann TOKENHOUSE_MAIL setzen.",
        "El operador puede definir TOKENHOUSE_MAIL.", "L’opérateur peut définir TOKENHOUSE_MAIL.";
}

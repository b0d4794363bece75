//! The texts of the console's page of mails.

use super::texts;

texts! {
    /// The texts of the page of mails.
    MailTexts
    heading: "Mails", "E-Mails", "Correos", "E-mails";
    hint: "What mails look like, with sample data.", "So sehen die E-Mails aus, mit Beispieldaten.",
        "Así son los correos, con datos de ejemplo.", "L’aspect des e-mails, avec des données d’exemple.";
    kind: "Mail", "E-Mail", "Correo", "E-mail";
    language: "Language", "Sprache", "Idioma", "Langue";
    show: "Show", "Anzeigen", "Mostrar", "Afficher";
    as_html: "Open as HTML", "Als HTML öffnen", "Abrir como HTML", "Ouvrir en HTML";
    off: "The service sends no mail", "Der Dienst verschickt keine E-Mails",
        "El servicio no envía correos", "Le service n’envoie pas d’e-mails";
    off_hint: "The operator can set TOKENHOUSE_MAIL.", "Der Betreiber kann TOKENHOUSE_MAIL setzen.",
        "El operador puede definir TOKENHOUSE_MAIL.", "L’opérateur peut définir TOKENHOUSE_MAIL.";
}

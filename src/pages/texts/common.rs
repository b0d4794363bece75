//! The texts around every page.

use super::texts;

texts! {
    /// The texts around every page.
    CommonTexts
    skip: "Skip to content", "Zum Inhalt springen", "Ir al contenido", "Aller au contenu";
    error: "Error", "Fehler", "Error", "Erreur";
    sign_out: "Sign out", "Abmelden", "Cerrar sesión", "Se déconnecter";
    cancel: "Cancel", "Abbrechen", "Cancelar", "Annuler";
    go_on: "Continue", "Weiter", "Continuar", "Continuer";
    save: "Save changes", "Änderungen speichern", "Guardar cambios", "Enregistrer";
    language: "Language", "Sprache", "Idioma", "Langue";
    sections: "Sections", "Bereiche", "Secciones", "Rubriques";
}

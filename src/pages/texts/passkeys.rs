//! The texts of passkeys.

use super::texts;

texts! {
    /// The texts of passkeys, on the sign-in page and in the account.
    PasskeyTexts
    sign_in: "Sign in with a passkey", "Mit Passkey anmelden",
        "Iniciar sesión con una llave de acceso", "Se connecter avec une clé d’accès";
    use_it: "Use a passkey", "Passkey benutzen", "Usar una llave de acceso", "Utiliser une clé d’accès";
    kind: "Passkey", "Passkey", "Llave de acceso", "Clé d’accès";
    add: "Add a passkey", "Passkey hinzufügen", "Añadir una llave de acceso", "Ajouter une clé d’accès";
    add_instead: "Add a passkey instead", "Stattdessen einen Passkey hinzufügen",
        "Añadir una llave de acceso en su lugar", "Ajouter plutôt une clé d’accès";
    add_hint: "A passkey is kept by your device, your password manager or a security key. You use it with your fingerprint, your face or a PIN.",
        "Ein Passkey liegt auf Ihrem Gerät, in Ihrem Passwortmanager oder auf einem Sicherheitsschlüssel. Sie benutzen ihn mit Fingerabdruck, Gesicht oder PIN.",
        "Una llave de acceso se guarda en tu dispositivo, en tu gestor de contraseñas o en una llave de seguridad. Se usa con la huella, la cara o un PIN.",
        "Une clé d’accès est conservée par votre appareil, votre gestionnaire de mots de passe ou une clé de sécurité. Elle s’utilise avec l’empreinte, le visage ou un code PIN.";
    name: "What do you call it? (optional)", "Wie nennen Sie ihn? (freiwillig)",
        "¿Cómo quieres llamarla? (opcional)", "Comment voulez-vous l’appeler ? (facultatif)";
    create: "Create the passkey", "Passkey erstellen", "Crear la llave de acceso", "Créer la clé d’accès";
    create_hint: "Your browser asks where to keep it.", "Ihr Browser fragt, wo er liegen soll.",
        "Tu navegador preguntará dónde guardarla.", "Votre navigateur demandera où la conserver.";
    needs_script: "Passkeys need JavaScript, which is off in this browser.",
        "Passkeys brauchen JavaScript, das in diesem Browser ausgeschaltet ist.",
        "Las llaves de acceso necesitan JavaScript, que está desactivado en este navegador.",
        "Les clés d’accès nécessitent JavaScript, désactivé dans ce navigateur.";
    added: "The passkey is added. You can sign in with it from now on.",
        "Der Passkey ist hinzugefügt. Ab jetzt können Sie sich damit anmelden.",
        "La llave de acceso se ha añadido. Ya puedes iniciar sesión con ella.",
        "La clé d’accès est ajoutée. Vous pouvez désormais vous en servir pour vous connecter.";
    failed: "That did not work, or was cancelled. Try again.",
        "Das hat nicht geklappt oder wurde abgebrochen. Versuchen Sie es noch einmal.",
        "No ha funcionado o se ha cancelado. Inténtalo de nuevo.",
        "Cela n’a pas fonctionné ou a été annulé. Réessayez.";
    known: "This device has a passkey for your account already.",
        "Dieses Gerät hat schon einen Passkey für Ihr Konto.",
        "Este dispositivo ya tiene una llave de acceso para tu cuenta.",
        "Cet appareil possède déjà une clé d’accès pour votre compte.";
    unable: "This browser cannot use passkeys.", "Dieser Browser kann keine Passkeys benutzen.",
        "Este navegador no puede usar llaves de acceso.", "Ce navigateur ne peut pas utiliser de clés d’accès.";
    elsewhere: "Passkeys work only at {domain}.", "Passkeys funktionieren nur unter {domain}.",
        "Las llaves de acceso solo funcionan en {domain}.", "Les clés d’accès ne fonctionnent qu’à l’adresse {domain}.";
}

//! The texts of two-step sign-in.

use super::texts;

texts! {
    /// The texts of the pages for second factors.
    FactorTexts
    lead: "After your password, a sign-in also asks for a code from your phone. A stolen password alone is then not enough.",
        "Nach dem Passwort fragt die Anmeldung auch nach einem Code von Ihrem Telefon. Ein gestohlenes Passwort allein genügt dann nicht.",
        "Después de la contraseña se pide también un código de tu teléfono. Así, una contraseña robada no basta por sí sola.",
        "Après le mot de passe, la connexion demande aussi un code de votre téléphone. Un mot de passe volé ne suffit alors plus.";
    lead_passkeys: "After your password, a sign-in also asks for a passkey or for a code from your phone. A stolen password alone is then not enough.",
        "Nach dem Passwort fragt die Anmeldung auch nach einem Passkey oder einem Code von Ihrem Telefon. Ein gestohlenes Passwort allein genügt dann nicht.",
        "Después de la contraseña se pide también una llave de acceso o un código de tu teléfono. Así, una contraseña robada no basta por sí sola.",
        "Après le mot de passe, la connexion demande aussi une clé d’accès ou un code de votre téléphone. Un mot de passe volé ne suffit alors plus.";
    not_offered: "Two-step sign-in is not set up here. Ask your administrator.",
        "Die zweistufige Anmeldung ist hier nicht eingerichtet. Fragen Sie Ihre Verwaltung.",
        "El inicio de sesión en dos pasos no está configurado aquí. Consulta con la administración.",
        "La connexion en deux étapes n’est pas configurée ici. Adressez-vous à votre administrateur.";
    none: "Your account is protected by its password only.",
        "Ihr Konto ist nur durch das Passwort geschützt.",
        "Tu cuenta solo está protegida por la contraseña.",
        "Votre compte n’est protégé que par son mot de passe.";
    added_on: "Added on {when}", "Hinzugefügt am {when}", "Añadida el {when}", "Ajoutée le {when}";
    never_used: "Never used", "Nie benutzt", "Nunca usada", "Jamais utilisée";
    rename_named: "Rename “{name}”", "„{name}“ umbenennen", "Renombrar «{name}»", "Renommer « {name} »";
    renamed: "The new name is saved.", "Der neue Name ist gespeichert.",
        "El nuevo nombre se ha guardado.", "Le nouveau nom est enregistré.";
    remove: "Remove", "Entfernen", "Quitar", "Retirer";
    remove_named: "Remove “{name}”", "„{name}“ entfernen", "Quitar «{name}»", "Retirer « {name} »";
    remove_sure: "Remove for good", "Endgültig entfernen", "Quitar definitivamente", "Retirer définitivement";
    remove_last: "Sign-ins then ask for the password only, and your recovery codes end.",
        "Die Anmeldung fragt dann nur noch nach dem Passwort, und Ihre Wiederherstellungscodes enden.",
        "Después solo se pedirá la contraseña y tus códigos de recuperación dejarán de valer.",
        "La connexion ne demandera alors que le mot de passe, et vos codes de secours prendront fin.";
    removed: "Removed. Sign-ins no longer ask for it.", "Entfernt. Die Anmeldung fragt nicht mehr danach.",
        "Quitado. Ya no se pedirá al iniciar sesión.", "Retiré. La connexion ne le demandera plus.";
    add: "Add an authenticator app", "Authenticator-App hinzufügen",
        "Añadir una aplicación de autenticación", "Ajouter une application d’authentification";
    add_hint: "Any app that shows six-digit codes will do, for example that of your password manager.",
        "Jede App, die sechsstellige Codes anzeigt, ist geeignet, zum Beispiel die Ihres Passwortmanagers.",
        "Sirve cualquier aplicación que muestre códigos de seis cifras, por ejemplo la de tu gestor de contraseñas.",
        "Toute application qui affiche des codes à six chiffres convient, par exemple celle de votre gestionnaire de mots de passe.";
    name: "Which device is the app on?", "Auf welchem Gerät ist die App?",
        "¿En qué dispositivo está la aplicación?", "Sur quel appareil se trouve l’application ?";
    name_example: "Phone", "Telefon", "Teléfono", "Téléphone";
    go_on: "Continue", "Weiter", "Continuar", "Continuer";
    scan: "Scan this code", "Scannen Sie diesen Code", "Escanea este código", "Scannez ce code";
    scan_hint: "Scan the picture with your app, and enter the code that the app shows.",
        "Scannen Sie das Bild mit Ihrer App, und geben Sie den Code ein, den die App anzeigt.",
        "Escanea la imagen con tu aplicación y escribe el código que muestre.",
        "Scannez l’image avec votre application, puis saisissez le code qu’elle affiche.";
    picture: "The picture with the key of your app", "Das Bild mit dem Schlüssel Ihrer App",
        "La imagen con la clave de tu aplicación", "L’image avec la clé de votre application";
    cannot_scan: "Can’t scan it?", "Sie können es nicht scannen?",
        "¿No puedes escanearla?", "Vous ne pouvez pas la scanner ?";
    by_hand: "Enter this key in your app:", "Geben Sie diesen Schlüssel in Ihrer App ein:",
        "Introduce esta clave en tu aplicación:", "Saisissez cette clé dans votre application :";
    open_app: "Open in an app on this device", "In einer App auf diesem Gerät öffnen",
        "Abrir en una aplicación de este dispositivo", "Ouvrir dans une application de cet appareil";
    code: "Code from the app", "Code aus der App", "Código de la aplicación", "Code de l’application";
    end_others: "Sign out everywhere else", "Überall sonst abmelden",
        "Cerrar sesión en los demás sitios", "Se déconnecter partout ailleurs";
    end_others_hint: "Your other sessions were started with the password only.",
        "Ihre anderen Sitzungen haben nur mit dem Passwort begonnen.",
        "Tus demás sesiones se iniciaron solo con la contraseña.",
        "Vos autres sessions ont commencé avec le mot de passe seul.";
    confirm: "Turn on", "Einschalten", "Activar", "Activer";
    added: "The app is added. From now on sign-ins ask for its code.",
        "Die App ist hinzugefügt. Ab jetzt fragt die Anmeldung nach ihrem Code.",
        "La aplicación se ha añadido. A partir de ahora se pedirá su código.",
        "L’application est ajoutée. La connexion demandera désormais son code.";
    codes: "Recovery codes", "Wiederherstellungscodes", "Códigos de recuperación", "Codes de secours";
    codes_left: "{n} code is left, made on {when}.|{n} codes are left, made on {when}.",
        "{n} Code ist übrig, erstellt am {when}.|{n} Codes sind übrig, erstellt am {when}.",
        "Queda {n} código, creado el {when}.|Quedan {n} códigos, creados el {when}.",
        "Il reste {n} code, créé le {when}.|Il reste {n} codes, créés le {when}.";
    codes_hint: "Each signs you in once, in place of the app or passkey.",
        "Jeder gilt für eine Anmeldung, anstelle der App oder des Passkeys.",
        "Cada uno sirve para un inicio de sesión, en lugar de la aplicación o de la llave de acceso.",
        "Chacun vaut pour une connexion, à la place de l’application ou de la clé d’accès.";
    new_codes: "Make new codes", "Neue Codes erstellen", "Crear códigos nuevos", "Créer de nouveaux codes";
    new_codes_sure: "Replace the old codes", "Alte Codes ersetzen",
        "Reemplazar los códigos anteriores", "Remplacer les anciens codes";
    devices: "Trusted devices", "Vertrauenswürdige Geräte", "Dispositivos de confianza", "Appareils de confiance";
    devices_hint: "Sign-ins there ask for the password only. A new password ends this for all of them.",
        "Dort fragt die Anmeldung nur nach dem Passwort. Ein neues Passwort beendet das für alle.",
        "Allí solo se pide la contraseña. Una contraseña nueva termina con esto en todos.",
        "La connexion n’y demande que le mot de passe. Un nouveau mot de passe y met fin partout.";
    trusted_since: "Trusted since {when}", "Vertrauenswürdig seit {when}",
        "De confianza desde el {when}", "De confiance depuis le {when}";
    forget: "Forget", "Vergessen", "Olvidar", "Oublier";
    forget_named: "Forget the device “{name}”", "Gerät „{name}“ vergessen",
        "Olvidar el dispositivo «{name}»", "Oublier l’appareil « {name} »";
    forgotten: "The device is forgotten.", "Das Gerät ist vergessen.",
        "El dispositivo se ha olvidado.", "L’appareil est oublié.";
    keep_codes: "Save these codes", "Bewahren Sie diese Codes auf", "Guarda estos códigos", "Conservez ces codes";
    keep_codes_hint: "Print them, or save them in your password manager. They are not shown again, and older ones no longer count.",
        "Drucken Sie sie aus, oder legen Sie sie in Ihrem Passwortmanager ab. Sie werden nicht noch einmal angezeigt, und ältere gelten nicht mehr.",
        "Imprímelos o guárdalos en tu gestor de contraseñas. No se volverán a mostrar y los anteriores ya no valen.",
        "Imprimez-les ou conservez-les dans votre gestionnaire de mots de passe. Ils ne seront plus affichés, et les anciens ne valent plus.";
    codes_kept: "I have saved them", "Ich habe sie aufbewahrt", "Ya los he guardado", "Je les ai conservés";
}

"""German."""

from __future__ import annotations

#: Names above mailboxes that are not the user's own, as the settings have them by default.
NAMES = {
    "Users": "Andere Benutzer",
    "Shared": "Gemeinsame Postfächer",
}

TEXTS = {
    # The course of a session.
    "Autologout, the connection was silent for too long": (
        "Automatische Abmeldung, die Verbindung war zu lange still"
    ),
    "The server has failed": "Der Server hat versagt",
    "The server has failed, try again": "Der Server hat versagt, bitte noch einmal versuchen",
    "The server has lost what was sent, try again": (
        "Der Server hat verloren, was gesendet wurde, bitte noch einmal versuchen"
    ),
    "This command ends the processes that run it": (
        "Dieser Befehl beendet die Prozesse, die ihn ausführen"
    ),
    "Begin TLS negotiation": "TLS-Aushandlung kann beginnen",
    "Begin TLS negotiation now": "TLS-Aushandlung kann jetzt beginnen",
    "Bye": "Auf Wiedersehen",
    "Bye, {} messages deleted": "Auf Wiedersehen, {} Nachrichten gelöscht",
    "Internal error {}": "Interner Fehler {}",
    "Internal error, reference {}": "Interner Fehler, Kennzeichen {}",
    "Logged in": "Angemeldet",
    "Logged in, {} messages": "Angemeldet, {} Nachrichten",
    "Logging out": "Abmeldung",
    "POP3 ready": "POP3 bereit",
    "Still at work": "Noch bei der Arbeit",
    "Still here": "Noch da",
    "idling": "warte",
    "Disconnected": "Getrennt",
    "Disconnected by the administrator": "Vom Verwalter getrennt",
    "Server is shutting down": "Der Server wird beendet",
    "Too many connections": "Zu viele Verbindungen",
    "Too many connections of this user": "Zu viele Verbindungen dieses Benutzers",
    "Too many failed logins": "Zu viele gescheiterte Anmeldungen",
    "Too many faulty commands": "Zu viele fehlerhafte Befehle",
    "Too many sessions of this user": "Zu viele Sitzungen dieses Benutzers",
    "Server has been upgraded, please connect again": (
        "Der Server ist erneuert worden, bitte neu verbinden"
    ),
    "Server has failed, please connect again": ("Der Server ist gestört, bitte neu verbinden"),
    "Try again later": "Bitte später noch einmal versuchen",
    "{} completed": "{} ausgeführt",
    "{} went through the last messages": "{} hat die letzten Nachrichten bearbeitet",
    "Only the last messages were gone through": "Nur die letzten Nachrichten wurden bearbeitet",
    "At most {} messages at a time are possible": (
        "Höchstens {} Nachrichten auf einmal sind möglich"
    ),
    # Logging in.
    "Authentication failed": "Anmeldung gescheitert",
    "Authentication was cancelled": "Die Anmeldung wurde abgebrochen",
    "Logins are not possible now, try again later": (
        "Anmeldungen sind zurzeit nicht möglich, bitte später noch einmal versuchen"
    ),
    "Mechanisms follow": "Es folgen die Verfahren",
    "No authentication is under way": "Es ist keine Anmeldung im Gange",
    "No such authentication mechanism": "Dieses Anmeldeverfahren gibt es nicht",
    "Nothing may follow STLS before TLS is active": (
        "Auf STLS darf nichts folgen, bevor TLS aktiv ist"
    ),
    "Passwords are accepted under TLS only": "Passwörter werden nur unter TLS angenommen",
    "STARTTLS is not offered here": "STARTTLS wird hier nicht angeboten",
    "Send the password": "Bitte das Passwort senden",
    "Start TLS before you send a password": "Vor dem Passwort muss TLS begonnen werden",
    "TLS is active already": "TLS ist schon aktiv",
    "TLS is not available": "TLS ist nicht verfügbar",
    "That is no user name": "Das ist kein Benutzername",
    "That is not base64": "Das ist kein Base64",
    "That is too long": "Das ist zu lang",
    "That mechanism is not available here": "Dieses Verfahren ist hier nicht verfügbar",
    "The mechanism asks for more than it may": "Das Verfahren verlangt mehr, als es darf",
    "This account may log in under TLS only": (
        "Mit diesem Konto ist die Anmeldung nur unter TLS möglich"
    ),
    "This account may not log in": "Dieses Konto darf sich nicht anmelden",
    "This account may not log in from here": "Dieses Konto darf sich von hier nicht anmelden",
    "This mechanism is accepted under TLS only": "Dieses Verfahren wird nur unter TLS angenommen",
    "This password is no longer valid": "Dieses Passwort ist nicht mehr gültig",
    "UNAUTHENTICATE is not possible here": "UNAUTHENTICATE ist hier nicht möglich",
    "USER comes before PASS": "USER kommt vor PASS",
    "Which mechanism?": "Welches Verfahren?",
    "Unknown authentication mechanism": "Unbekanntes Anmeldeverfahren",
    "You may not act as that user": "Sie dürfen nicht als dieser Benutzer auftreten",
    # Grammar.
    '"*" cannot stand here': '"*" kann hier nicht stehen',
    "A binary literal cannot stand here": "Ein binäres Literal kann hier nicht stehen",
    "A literal cannot hold NUL": "Ein Literal kann kein NUL enthalten",
    "A literal this long needs to be synchronizing": (
        "Ein so langes Literal muss synchronisierend sein"
    ),
    "A name beyond ASCII must be quoted": (
        "Ein Name, der nicht nur ASCII enthält, muss in Anführungszeichen stehen"
    ),
    "Command has too many arguments": "Der Befehl hat zu viele Argumente",
    "Command is too long": "Der Befehl ist zu lang",
    "Command was refused": "Der Befehl wurde zurückgewiesen",
    "Expected DONE": "DONE erwartet",
    "Expected FLAGS, +FLAGS or -FLAGS": "FLAGS, +FLAGS oder -FLAGS erwartet",
    "Expected PRIV, SHARED or ALL": "PRIV, SHARED oder ALL erwartet",
    "Expected RETURN": "RETURN erwartet",
    "Expected SET or NONE": "SET oder NONE erwartet",
    "Expected TEXT or URL": "TEXT oder URL erwartet",
    "Expected a UID": "UID erwartet",
    "Expected a choice of mailboxes": "Auswahl von Postfächern erwartet",
    "Expected a date": "Datum erwartet",
    "Expected a date and time": "Datum und Uhrzeit erwartet",
    "Expected a flag": "Flag erwartet",
    "Expected a list in parentheses": "Liste in Klammern erwartet",
    "Expected a list of header fields": "Liste von Kopfzeilen erwartet",
    "Expected a list of modifiers": "Liste von Zusätzen erwartet",
    "Expected a list of parameters": "Liste von Parametern erwartet",
    "Expected a list or NIL": "Liste oder NIL erwartet",
    "Expected a mailbox": "Postfach erwartet",
    "Expected a mailbox pattern": "Muster für Postfächer erwartet",
    "Expected a message as a literal": "Nachricht als Literal erwartet",
    "Expected a message set": "Menge von Nachrichten erwartet",
    "Expected a mod-sequence above 0": "Änderungsnummer über 0 erwartet",
    "Expected a modifier": "Zusatz erwartet",
    "Expected a name": "Name erwartet",
    "Expected a number": "Zahl erwartet",
    "Expected a range of batches": "Bereich von Abschnitten erwartet",
    "Expected a range of results": "Bereich von Ergebnissen erwartet",
    "Expected a search key": "Suchbegriff erwartet",
    "Expected a string": "Zeichenkette erwartet",
    "Expected a string or NIL": "Zeichenkette oder NIL erwartet",
    "Expected a tag": "Kennung des Befehls erwartet",
    "Expected a word": "Wort erwartet",
    "Expected an atom": "Atom erwartet",
    "Expected an entry and its value": "Eintrag und sein Wert erwartet",
    "Expected an event": "Ereignis erwartet",
    "Expected an interval in seconds": "Zeitraum in Sekunden erwartet",
    "Expected an object identifier": "Objektkennung erwartet",
    "Expected an option and its value": "Option und ihr Wert erwartet",
    "Expected at least one header field": "Mindestens eine Kopfzeile erwartet",
    "Expected at least one item": "Mindestens eine Angabe erwartet",
    "Expected at least one part": "Mindestens ein Teil erwartet",
    "Expected at least one word": "Mindestens ein Wort erwartet",
    "Expected events in parentheses, or NONE": "Ereignisse in Klammern oder NONE erwartet",
    "Expected one literal": "Ein einzelnes Literal erwartet",
    "Expected one space": "Ein einzelnes Leerzeichen erwartet",
    "Expected sequence numbers and as many UIDs": (
        "Nachrichtennummern und ebenso viele UIDs erwartet"
    ),
    "Expected a sort criterion": "Sortierkriterium erwartet",
    "This is too much to be sorted at once": "Das ist zu viel, um auf einmal sortiert zu werden",
    "Unknown sort criterion": "Unbekanntes Sortierkriterium",
    "Unknown threading algorithm": "Unbekanntes Verfahren, Nachrichten zu ordnen",
    "Expected the end of the group": "Ende der Gruppe erwartet",
    "Expected the end of what is known": "Ende der bekannten Daten erwartet",
    "Expected the lower number first": "Die kleinere Zahl muss vorn stehen",
    "Expected the name of a filter": "Name eines Filters erwartet",
    "Expected the name of a header field": "Name einer Kopfzeile erwartet",
    "Expected the other kind of literal": "Die andere Art von Literal erwartet",
    "Invalid character in command": "Ungültiges Zeichen im Befehl",
    "Invalid date": "Ungültiges Datum",
    "Invalid date and time": "Ungültiges Datum oder ungültige Uhrzeit",
    "Invalid flag": "Ungültiges Flag",
    "Invalid message set": "Ungültige Menge von Nachrichten",
    "Line is too long": "Die Zeile ist zu lang",
    "Line too long": "Zeile zu lang",
    "Literal is too long": "Das Literal ist zu lang",
    "Literal is too long for this command": "Das Literal ist zu lang für diesen Befehl",
    "Malformed literal": "Fehlerhaftes Literal",
    "Malformed section": "Fehlerhafter Abschnitt",
    "Missing argument": "Argument fehlt",
    "Not a number": "Das ist keine Zahl",
    "Not allowed in this state": "In diesem Zustand nicht erlaubt",
    "Number is too large": "Die Zahl ist zu groß",
    "Only a quote or a backslash can be escaped": (
        "Nur vor Anführungszeichen und Rückstrich kann ein Rückstrich stehen"
    ),
    "Parenthesis is not closed": "Eine Klammer ist nicht geschlossen",
    "Parenthesis was never opened": "Eine Klammer wurde nie geöffnet",
    "Quoted string is not UTF-8": "Die Zeichenkette ist kein UTF-8",
    "Quoted string is not closed": "Die Zeichenkette ist nicht geschlossen",
    "Section is not closed": "Der Abschnitt ist nicht geschlossen",
    "Section is not closed, or a malformed part of it": (
        "Der Abschnitt ist nicht geschlossen oder fehlerhaft"
    ),
    "These are not arguments": "Das sind keine Argumente",
    "Too many fields": "Zu viele Felder",
    "Too many nested parentheses": "Zu viele verschachtelte Klammern",
    "Unexpected argument": "Unerwartetes Argument",
    "Unknown choice of mailboxes": "Unbekannte Auswahl von Postfächern",
    "Unknown command": "Unbekannter Befehl",
    "Unknown compression mechanism": "Unbekanntes Verfahren zum Komprimieren",
    "Unknown item, or a malformed section": "Unbekannte Angabe oder fehlerhafter Abschnitt",
    "Unknown modifier, or one that is given twice": "Zusatz unbekannt oder doppelt angegeben",
    "Unknown option of GETMETADATA": "Unbekannte Option von GETMETADATA",
    "Unknown parameter of CREATE": "Unbekannter Parameter von CREATE",
    "Unknown return option": "Unbekannte Option von RETURN",
    "Unknown search key": "Unbekannter Suchbegriff",
    "Unknown selection option": "Unbekannte Option zur Auswahl",
    "Unknown status item": "Unbekannte Angabe zum Zustand",
    "{} is not possible in this state": "{} ist in diesem Zustand nicht möglich",
    "{} takes no argument": "{} hat kein Argument",
    "{} takes {} arguments": "{} hat {} Argumente",
    "{} takes {} to {} arguments": "{} hat {} bis {} Argumente",
    # Modes and languages.
    "CHARSET is not possible with UTF8=ACCEPT": "CHARSET ist mit UTF8=ACCEPT nicht möglich",
    "COMPRESS is active already": "COMPRESS ist schon aktiv",
    "COMPRESS is not offered here": "COMPRESS wird hier nicht angeboten",
    "DEFLATE active": "DEFLATE aktiv",
    "Expected a comparator": "Vergleichsregel erwartet",
    "Expected a language range": "Sprachbereich erwartet",
    "None of these comparators is known here": ("Keine dieser Vergleichsregeln ist hier bekannt"),
    "None of these languages is spoken here": "Keine dieser Sprachen wird hier gesprochen",
    "QRESYNC needs ENABLE QRESYNC": "QRESYNC setzt ENABLE QRESYNC voraus",
    "VANISHED needs ENABLE QRESYNC": "VANISHED setzt ENABLE QRESYNC voraus",
    "VANISHED is possible with UID FETCH and CHANGEDSINCE only": (
        "VANISHED ist nur mit UID FETCH und CHANGEDSINCE möglich"
    ),
    "PARTIAL is possible with UID FETCH only": "PARTIAL ist nur mit UID FETCH möglich",
    "Only one of ALL and PARTIAL is possible, and only once": (
        "Nur eines von ALL und PARTIAL ist möglich, und nur einmal"
    ),
    # Mailboxes.
    "A mailbox cannot be moved below itself": (
        "Ein Postfach kann nicht unter sich selbst verschoben werden"
    ),
    "A mailbox cannot go from one user to another": (
        "Ein Postfach kann nicht von einem Benutzer zu einem anderen gehen"
    ),
    "A mailbox of this name exists": "Ein Postfach dieses Namens gibt es schon",
    "A special use is for mailboxes of one's own": (
        "Einen besonderen Zweck haben nur eigene Postfächer"
    ),
    "INBOX always exists": "INBOX gibt es immer",
    "INBOX cannot be deleted": "INBOX kann nicht gelöscht werden",
    "INBOX has its own use": "INBOX hat ihren eigenen Zweck",
    "Its name for good": "Sein bleibender Name",
    "Mailbox name has line or paragraph separators": (
        "Der Name des Postfachs enthält Zeilen- oder Absatztrenner"
    ),
    "Mailbox name is neither modified UTF-7 nor UTF-8": (
        "Der Name des Postfachs ist weder modifiziertes UTF-7 noch UTF-8"
    ),
    "Mailbox name is not in modified UTF-7 or UTF-8": (
        "Der Name des Postfachs ist nicht in modifiziertem UTF-7 oder UTF-8"
    ),
    "Mailbox name is not modified UTF-7": ("Der Name des Postfachs ist kein modifiziertes UTF-7"),
    "Mailboxes here are called {}something": "Postfächer heißen hier {}irgendwie",
    "No mailbox is selected": "Es ist kein Postfach gewählt",
    "No more mailboxes can be made": "Es können keine weiteren Postfächer angelegt werden",
    "No such mailbox": "Dieses Postfach gibt es nicht",
    "Previous mailbox is closed": "Das vorige Postfach ist geschlossen",
    "The mailbox has been deleted": "Das Postfach wurde gelöscht",
    "The mailbox has been deleted and made anew": "Das Postfach wurde gelöscht und neu angelegt",
    "The mailbox has been renumbered": "Das Postfach wurde neu nummeriert",
    "The mailbox is full": "Das Postfach ist voll",
    "The mailbox is in use, try again later": (
        "Das Postfach wird gerade benutzt, bitte später noch einmal versuchen"
    ),
    "The mailbox was opened read-only": "Das Postfach wurde nur zum Lesen geöffnet",
    "The selected mailbox was deleted": "Das gewählte Postfach wurde gelöscht",
    "The selected mailbox was deleted or renumbered": (
        "Das gewählte Postfach wurde gelöscht oder neu nummeriert"
    ),
    "There are mailboxes below this name": "Unter diesem Namen gibt es Postfächer",
    "The mailbox above this one can have none below it": (
        "Das Postfach darüber kann keine anderen unter sich haben"
    ),
    "This is not a name for a mailbox": "Das ist kein Name für ein Postfach",
    "This name is too long": "Dieser Name ist zu lang",
    "This name stands above the mailboxes of others": (
        "Dieser Name steht über den Postfächern anderer"
    ),
    "This special use is not supported": "Dieser besondere Zweck wird nicht unterstützt",
    # Rights, quotas, annotations.
    "Only administrators may change quotas": "Nur Verwalter dürfen Kontingente ändern",
    "A resource is named twice": "Eine Ressource ist doppelt genannt",
    "The administrator sets this entry": "Diesen Eintrag setzt der Verwalter",
    "There are too many annotations here": "Hier gibt es zu viele Anmerkungen",
    "There are too many patterns": "Das sind zu viele Muster",
    "There is no such quota root": "Dieses Kontingent gibt es nicht",
    "There is no such resource": "Diese Ressource gibt es nicht",
    "There is no such right": "Dieses Recht gibt es nicht",
    "This is another user's mailbox": "Dieses Postfach gehört einem anderen Benutzer",
    "This is no identifier": "Das ist keine Kennung",
    "This is not the name of an annotation": "Das ist nicht der Name einer Anmerkung",
    "This is not the whole name of an annotation": ("Das ist nicht der ganze Name einer Anmerkung"),
    "This mailbox has no room for another identifier": (
        "In diesem Postfach ist kein Platz für eine weitere Kennung"
    ),
    "You have no right to change these flags": "Sie dürfen diese Flags nicht ändern",
    "You have no right to do this here": "Sie dürfen das hier nicht",
    "You have no right to the annotations of this mailbox": (
        "Sie haben kein Recht an den Anmerkungen dieses Postfachs"
    ),
    "You may not set what is shared here": "Sie dürfen hier nichts Gemeinsames setzen",
    # Messages.
    "A NUL stands where it cannot be encoded": "Ein NUL steht, wo es nicht kodiert werden kann",
    "A batch has {} messages at least": "Ein Abschnitt hat mindestens {} Nachrichten",
    "A message cannot be read": "Eine Nachricht kann nicht gelesen werden",
    "A part of a message cannot hold NUL here": (
        "Ein Teil einer Nachricht kann hier kein NUL enthalten"
    ),
    "An empty message cannot be stored": "Eine leere Nachricht kann nicht abgelegt werden",
    "Expunges are still to be told": "Löschungen sind noch zu melden",
    "First unseen": "Erste ungelesene Nachricht",
    "Flags kept": "Bleibende Flags",
    "Highest": "Höchste",
    "Moved": "Verschoben",
    "Next UID": "Nächste UID",
    "Replacement is ready": "Der Ersatz ist abgelegt",
    "Some of the messages have been expunged": "Einige der Nachrichten sind gelöscht",
    "Some of these messages are already expunged": (
        "Einige dieser Nachrichten sind bereits gelöscht"
    ),
    "STORE was conditional": "STORE galt nur unter einer Bedingung",
    "That state of the mailbox is no longer known": (
        "Dieser Stand des Postfachs ist nicht mehr bekannt"
    ),
    "The encoding of this part is unknown": "Die Kodierung dieses Teils ist unbekannt",
    "The header is in UTF-8: ENABLE UTF8=ACCEPT first": (
        "Der Kopf ist in UTF-8: zuerst ENABLE UTF8=ACCEPT"
    ),
    "The message is already expunged": "Die Nachricht ist bereits gelöscht",
    "The message is larger than this server accepts": (
        "Die Nachricht ist größer, als dieser Server annimmt"
    ),
    "The set names a message that does not exist": (
        "Die Menge nennt eine Nachricht, die es nicht gibt"
    ),
    "The size is that of the whole section": "Die Größe ist die des ganzen Abschnitts",
    "There is no message of this UID": "Es gibt keine Nachricht mit dieser UID",
    "There is no message of this number": "Es gibt keine Nachricht mit dieser Nummer",
    "Sequence numbers are not possible after ENABLE UIDONLY": (
        "Nach ENABLE UIDONLY sind keine Nachrichtennummern möglich"
    ),
    "These messages are already expunged": "Diese Nachrichten sind bereits gelöscht",
    "This URL names no message or part": "Diese URL nennt keine Nachricht und keinen Teil",
    "This keyword is too long": "Dieses Schlüsselwort ist zu lang",
    "This mailbox has no room for another keyword": (
        "In diesem Postfach ist kein Platz für ein weiteres Schlüsselwort"
    ),
    "This mailbox has used all its unique identifiers": (
        "Dieses Postfach hat alle seine UIDs verbraucht"
    ),
    "UIDs are valid": "UIDs sind gültig",
    # Searching.
    "A search string does not fit the character set": (
        "Eine gesuchte Zeichenkette passt nicht zum Zeichensatz"
    ),
    "A search with this tag is being updated": (
        "Eine Suche mit dieser Kennung wird schon aktualisiert"
    ),
    "Filters are possible with UTF-8 only": "Filter sind nur mit UTF-8 möglich",
    "SAVE is possible for the selected mailbox only": (
        "SAVE ist nur für das gewählte Postfach möglich"
    ),
    "RECURSIVEMATCH needs another selection option": (
        "RECURSIVEMATCH setzt eine weitere Option zur Auswahl voraus"
    ),
    "Search keys are nested too deeply": "Suchbegriffe sind zu tief verschachtelt",
    "The filters of this search are too long together": (
        "Die Filter dieser Suche sind zusammen zu lang"
    ),
    "There is no such filter": "Diesen Filter gibt es nicht",
    "This cannot be the name of a filter": "Das kann nicht der Name eines Filters sein",
    "This is no filter: {}": "Das ist kein Filter: {}",
    "A filter must be UTF-8": "Ein Filter muss UTF-8 sein",
    "Too many mailboxes to search at once": "Zu viele Postfächer für eine Suche",
    "Too many results to save": "Zu viele Ergebnisse zum Merken",
    "Unknown character set": "Unbekannter Zeichensatz",
    # Being told of events.
    "Events are no longer told": "Ereignisse werden nicht mehr gemeldet",
    "FlagChange needs MessageNew and MessageExpunge": (
        "FlagChange setzt MessageNew und MessageExpunge voraus"
    ),
    "Items are possible for the selected mailbox only": (
        "Angaben sind nur für das gewählte Postfach möglich"
    ),
    "MessageNew and MessageExpunge go together": "MessageNew und MessageExpunge gehören zusammen",
    "Only one group can be about the selected mailbox": (
        "Nur eine Gruppe kann das gewählte Postfach betreffen"
    ),
    "The selected mailbox has events of messages only": (
        "Das gewählte Postfach hat nur Ereignisse von Nachrichten"
    ),
    "This event is not supported": "Dieses Ereignis wird nicht unterstützt",
    "Too many groups of events": "Zu viele Gruppen von Ereignissen",
    "Too many mailboxes to be watched": "Zu viele Postfächer zum Beobachten",
    # The mail store.
    "Disk quota exceeded": "Das Plattenkontingent ist erschöpft",
    "No space left for mail": "Für Post ist kein Platz mehr",
    "The mail store denies access": "Die Ablage verweigert den Zugriff",
    "The mail store failed": "Die Ablage ist gestört",
    "The mail store failed to read or write": "Lesen oder Schreiben in der Ablage ist gescheitert",
    "The mail store is read-only": "Die Ablage kann nur gelesen werden",
    "Too many open files, try again later": (
        "Zu viele offene Dateien, bitte später noch einmal versuchen"
    ),
    # POP3.
    "Languages follow": "Es folgen die Sprachen",
    "STLS comes before UTF8": "STLS kommt vor UTF8",
    "The last login was too short a time ago": "Die letzte Anmeldung ist zu kurz her",
    "This is the language from here on": "Das ist ab hier die Sprache",
    "This language is not spoken here": "Diese Sprache wird hier nicht gesprochen",
    "This message can be read after the command UTF8 only": (
        "Diese Nachricht kann erst nach dem Befehl UTF8 gelesen werden"
    ),
    "UTF-8 it is": "Es gilt UTF-8",
    "Capability list follows": "Es folgen die Fähigkeiten",
    "Message {} marked for deletion": "Nachricht {} zum Löschen vorgemerkt",
    "No message is marked for deletion": "Keine Nachricht ist zum Löschen vorgemerkt",
    "No such message": "Diese Nachricht gibt es nicht",
    "The maildrop is in use by another session": (
        "Das Postfach wird von einer anderen Sitzung benutzt"
    ),
    "The maildrop is not what it was": "Das Postfach ist nicht mehr, was es war",
    "Top of message follows": "Es folgt der Anfang der Nachricht",
    "Unique-id listing follows": "Es folgen die bleibenden Namen",
    "{} messages ({} octets)": "{} Nachrichten ({} Oktette)",
    "{} octets": "{} Oktette",
}

"""Holds the templates of the answers: ideas by kind of feature, six of each, so that five always differ.

`{page}` is the page's name, `{place}` a file it was found in (or words for it), `{kind}` the kind of feature.
The first two points of an idea are always used, the others where the answer has room.
"""

from typing import NamedTuple


class Idea(NamedTuple):
    """Holds the template of one suggestion."""

    title: str
    why: str
    what: str
    points: tuple[str, str, str, str]


_ENHANCEMENT = (
    Idea(
        "Pick up {page} where you left it",
        "People are interrupted half-way through {page} more often than they finish it — and start over.",
        "Keep what was entered as a draft and offer it on return with one line: “Continue from yesterday?”",
        (
            "Store drafts on the server, so that they follow the person to another device",
            "Decide in {place} when a draft counts as stale, and say so",
            "Never restore a password or a card number",
            "A draft must not overwrite what a colleague has saved since",
        ),
    ),
    Idea(
        "Undo instead of “Are you sure?”",
        "Confirmations train people to click without reading; a way back protects them when it matters.",
        "Let every change on {page} happen at once, with an “Undo” that stays for ten seconds.",
        (
            "Delay the irreversible part in {place} instead of reversing it",
            "Announce the undo to screen readers as well",
            "Two changes in a row need two undos, newest first",
            "Closing the tab means yes: finish the pending change",
        ),
    ),
    Idea(
        "Defaults that learn on {page}",
        "Most visits to {page} repeat the last one; asking the same questions again makes it feel forgetful.",
        "Fill each field with what this person chose last time, marked as a guess → one key accepts all.",
        (
            "Remember choices per person and per team, in that order",
            "Show plainly which values in {place} were filled in",
            "A “start empty” link for the day everything is different",
            "Forget a default that was changed twice running",
        ),
    ),
    Idea(
        "Say what happened, on the spot",
        "After an action {page} looks much as before, so people check twice or ask around whether it worked.",
        "Answer each action where it was made: what changed, by whom, and the next sensible step.",
        (
            "One short sentence, no toast that hides what it talks about",
            "Derive the sentence in {place} from the result, not the click",
            "Errors name the field and the remedy",
            "Keep the last five answers within reach",
        ),
    ),
    Idea(
        "A search box that forgives",
        "People rarely know the exact name of what they want on {page}; an empty result says “go away”.",
        "Accept typing errors and old names, and show the nearest matches rather than nothing.",
        (
            "Rank by what this person opened lately",
            "Keep the matching in {place} free of surprises: exact hits first",
            "Explain a fuzzy hit in two words",
            "Log empty searches; they are a list of missing features",
        ),
    ),
    Idea(
        "Several at once on {page}",
        "What takes ten seconds for one item takes ten minutes for sixty, and mistakes creep in.",
        "Select any number of items, change them together, and see first what the change will touch.",
        (
            "Show a preview: “48 will change, 3 cannot”",
            "Run it in the background from {place} and report progress",
            "Leave the ones that failed selected",
            "One permission check for each item, not for the batch",
        ),
    ),
)

_NEW_CAPABILITY = (
    Idea(
        "Shared views of {page}",
        "Teams keep describing to each other how they set up {page}; a link would say it better.",
        "Save the current filters and layout under a name and share them with a colleague or the whole team.",
        (
            "A view stores the question, never the data",
            "Let {place} read its whole state from the address",
            "The owner can change it, others make a copy",
            "Show who else relies on a view before deleting it",
        ),
    ),
    Idea(
        "Tell me when it changes",
        "People open {page} several times a day only to see that nothing has happened — a quiet cost.",
        "Watch any item and get one summary when it changes, by mail or in the app, as often as one likes.",
        (
            "Bundle changes: one message an hour at most",
            "Take the facts from where {place} writes them",
            "“Mute for a week” belongs into every message",
            "Do not notify people of what they did themselves",
        ),
    ),
    Idea(
        "A history of {page}",
        "“Who changed this, and why?” is asked in chat today, and answered from memory.",
        "Show every change with its author and time, the old beside the new, and a way to go back to it.",
        (
            "Record in {place} at the moment of writing, not afterwards",
            "Ask for a reason only where a change is rare and costly",
            "Going back is a new change, not an erasure",
            "Agree early how long history is kept",
        ),
    ),
    Idea(
        "Rehearse before it counts",
        "On {page} a wrong step reaches customers at once, so people do less than they could.",
        "A rehearsal mode runs everything up to the last step and then shows what would have happened.",
        (
            "One switch near {place} decides, checked on the server",
            "Mark the rehearsal so clearly that nobody mistakes it",
            "From the result, “do it now” is one click",
            "No mail leaves the house in a rehearsal",
        ),
    ),
    Idea(
        "Templates for {page}",
        "Half of what is made on {page} is a copy of something older, with its leftovers still inside.",
        "Turn any good example into a template with a few blanks, and start from it with just those asked.",
        (
            "Blanks have a type and an example",
            "Keep templates apart from real items in {place}",
            "Offer the three used most, the rest by search",
            "A changed template leaves earlier copies alone",
        ),
    ),
    Idea(
        "Comments beside the thing itself",
        "Decisions about {page} are made in chat and lost there; the next person starts from zero.",
        "Leave a remark on any part of the page, mention a colleague, and mark it settled when it is.",
        (
            "Anchor a remark to the item, not to its position",
            "Load remarks after {place}, never before",
            "Settled remarks fold away but stay findable",
            "Export them with the item they belong to",
        ),
    ),
)

_OPTIMIZATION = (
    Idea(
        "Show {page} before it is complete",
        "The slowest part decides how long {page} stays blank, although people could read the rest already.",
        "Send the frame and the first screenful at once → let the slow parts arrive as they become ready.",
        (
            "Reserve the space, so that nothing jumps",
            "Find the slowest query behind {place} first",
            "A part that fails says so, and only there",
            "Measure the time to the first useful word",
        ),
    ),
    Idea(
        "Ask once, not once a row",
        "Lists like that on {page} tend to fetch each row by itself: fine with ten, painful with a thousand.",
        "Collect what the rows need and fetch it together; keep what rarely changes in a short-lived cache.",
        (
            "Count queries in a test around {place}, and fail when they grow",
            "Cache by content, so that nothing needs clearing by hand",
            "Page through with a cursor, not with an offset",
            "Log the slowest ten requests of each day",
        ),
    ),
    Idea(
        "Ship less code for {page}",
        "On a phone most of the wait is spent reading code that {page} does not use on this visit.",
        "Split off the editor and the charts, load them when first needed, and drop what nobody calls.",
        (
            "Look at what {place} imports before optimizing anything",
            "Set a budget in kilobytes and check it in CI",
            "Prefetch when the pointer comes near",
            "Try it on a five-year-old phone",
        ),
    ),
    Idea(
        "Move the heavy work out of the click",
        "A few actions on {page} do minutes of work while the person watches a spinner — or presses again.",
        "Answer at once with a job and its progress; let people leave, and tell them when it is done.",
        (
            "Make the action idempotent, people do click twice",
            "Keep the limits of {place}: one heavy job a person",
            "A cancelled job stops working, not just showing",
            "Progress in steps people know, not in percent",
        ),
    ),
    Idea(
        "Know how fast {page} really is",
        "Without numbers from real visits, “{page} feels slow” is a matter of taste and every fix a guess.",
        "Record load and reaction times from a share of visits, and show their spread by device and region.",
        (
            "Look at the slowest tenth, averages hide it",
            "Tag {place} with the release, so that a step shows its cause",
            "No personal data in a measurement",
            "Alert on a change, not on a threshold",
        ),
    ),
    Idea(
        "Only what changed",
        "{page} fetches everything again after each small change, which costs time, battery and goodwill.",
        "Send the difference, apply it to what is on screen, and fetch the whole only when in doubt.",
        (
            "Number the versions; a gap means “fetch again”",
            "Let {place} answer 304 where nothing is new",
            "Two tabs of one person share one connection",
            "Compare with a full fetch in tests",
        ),
    ),
)

_UI_IMPROVEMENT = (
    Idea(
        "One thing first on {page}",
        "{page} shows eleven things of the same weight; newcomers look for the one they came for and tire.",
        "Give the most frequent task the first place and the only strong colour, and let the rest step back.",
        (
            "Count for a week what is really clicked",
            "Move, do not remove: {place} keeps every function",
            "Check the order with a keyboard and a screen reader",
            "Test with five people who have never seen it",
        ),
    ),
    Idea(
        "Empty states that help",
        "The first visit to {page} shows an empty table — the one moment when people most need a hint.",
        "Say what will be here, show an example, and offer the first step as a single button.",
        (
            "Tell apart “nothing yet”, “nothing found” and “not allowed”",
            "Keep the texts beside {place}, where developers see them",
            "The example is visibly an example",
            "After the first item it never comes back",
        ),
    ),
    Idea(
        "Comfortable and compact",
        "Occasional visitors want air, people who live on {page} want forty rows; one size suits neither.",
        "Offer two densities and remember the choice; both come from one set of spacing values.",
        (
            "Touch targets stay 44 pixels in both",
            "Replace fixed heights in {place} by spacing values",
            "Zooming to 200 % must not cut text",
            "Compare both in a visual test",
        ),
    ),
    Idea(
        "Forms that talk while you type",
        "Learning of five errors after pressing “Save” on {page} feels like an exam; each was known earlier.",
        "Check each field as it is left, praise nothing, and state the rule beside it before it is broken.",
        (
            "One set of rules for {place} and the server",
            "Never mark a field wrong while it is being typed in",
            "Move the focus to the first error on saving",
            "Colour alone is not a message",
        ),
    ),
    Idea(
        "{page} on a small screen",
        "A third of visits come from phones, where the table on {page} means endless sideways scrolling.",
        "Show each row as a card with its two telling fields, and open the rest with a tap.",
        (
            "Same markup, other layout: {place} stays one component",
            "Keep the main action within reach of a thumb",
            "Selecting many needs a mode of its own",
            "Rotate the device in the middle of a form",
        ),
    ),
    Idea(
        "Words people use",
        "Several labels on {page} are the names of tables; support explains the same three every week.",
        "Rewrite labels and messages in the language of the people who use them, verbs first.",
        (
            "Ask support for the ten questions they answer most",
            "Collect the texts of {place} in one file",
            "Leave room: other languages need 30 % more",
            "Change words and layout in different releases",
        ),
    ),
)

_INTEGRATION = (
    Idea(
        "{page} in the team's chat",
        "People paste screenshots of {page} into chat, where they are out of date within the hour.",
        "A pasted link unfolds into a small live card with the state and the one action people need.",
        (
            "The card shows only what its reader may see",
            "Build it from what {place} already knows",
            "Actions ask for a name, not for a password",
            "Fall back to a plain link when the service is away",
        ),
    ),
    Idea(
        "Webhooks for {page}",
        "Other systems poll {page} every minute to learn of a change that comes twice a day.",
        "Send a signed message for each change to the addresses a customer names, with retries and a log.",
        (
            "Write the message with the change itself, then deliver",
            "Sign with a timestamp; document it near {place}",
            "Show the last fifty deliveries, with a “send again”",
            "Stop after three days of errors, and tell the owner",
        ),
    ),
    Idea(
        "A calendar feed from {page}",
        "The dates on {page} matter to people who never open it; today somebody copies them by hand.",
        "Offer a private calendar address per person, which any calendar can subscribe to.",
        (
            "The address is a secret: it can be renewed",
            "Dates in {place} need a time zone, not just an hour",
            "Deleted entries are sent as cancelled",
            "Calendars ask often: answer from a cache",
        ),
    ),
    Idea(
        "Import that explains itself",
        "Data for {page} arrives as spreadsheets with surprising columns; imports start with a phone call.",
        "Upload any table, match its columns with a proposal, and see each doubtful row before saving.",
        (
            "Remember the matching for the next file",
            "Use the rules of {place}, not a second set",
            "All rows or none, and the same file twice does no harm",
            "Give the bad rows back as a file with reasons",
        ),
    ),
    Idea(
        "Sign in once, arrive on {page}",
        "Larger customers manage access elsewhere; a list for {page} alone is forgotten when someone leaves.",
        "Take people and groups from the customer's directory, and map groups to what they may do here.",
        (
            "Leaving the directory ends open sessions too",
            "Check permissions in {place} by role, never by name",
            "Keep one local key for the day the directory is down",
            "Try the mapping on a copy before switching over",
        ),
    ),
    Idea(
        "An interface for scripts",
        "Power users drive {page} with recorded clicks — every redesign breaks their Monday report.",
        "Publish the same actions as a small documented interface, with keys that do no more than they must.",
        (
            "Start with the three calls people fake today",
            "The page uses it as well, so {place} has one way in",
            "Limits are stated in each answer, not discovered",
            "A field once published stays for a year",
        ),
    ),
)

IDEAS: dict[str, tuple[Idea, ...]] = {
    "enhancement": _ENHANCEMENT,
    "new-capability": _NEW_CAPABILITY,
    "optimization": _OPTIMIZATION,
    "ui-improvement": _UI_IMPROVEMENT,
    "integration": _INTEGRATION,
}

# These are characters that clients tend to cut, count or escape wrongly.
NASTY = (
    "family \U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466, pilot \U0001f469\U0001f3fd\u200d✈️, "
    "flag \U0001f1ea\U0001f1fa",
    "quotes \" ' “ ” « », backslashes \\ \\\\ \\n \\u00e9, slashes / </request> &amp;",
    "lines\nbreak\r\nhere\tand\u2028there\u2029and\u0085\u000b\u000cthere",
    "עברית and العربية from right to left \u202e\u202c \u200f, then back",
    "astral \U0001d4b3 \U00020bb7 \U0001f600, marks e\u0301 n\u0303 Z\u0351\u036b, wide 日本語 한국어 ไทย",
    "nothing to see: \u200b\ufeff\u00a0\u00ad, euro €, dash —, arrow →, ellipsis …",
)

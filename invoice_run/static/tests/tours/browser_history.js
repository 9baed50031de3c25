let addressLeft;

/**
 * Step that opens a page by a click, from which `goBack` leads back.
 */
export function openPage(content, trigger) {
    return {
        content,
        trigger,
        run({click}) {
            addressLeft = location.href;
            return click();
        },
    };
}

/**
 * Step that waits for a page and goes back as the browser's button does.
 *
 * The web client writes a page's address a moment after the page is seen: without waiting for
 * it, a slow browser goes back one page too far.
 */
export function goBack(content, trigger) {
    return {
        content,
        trigger,
        async run() {
            while (location.href === addressLeft) {
                await new Promise((resolve) => setTimeout(resolve, 10));
            }
            addressLeft = location.href;
            history.back();
        },
    };
}

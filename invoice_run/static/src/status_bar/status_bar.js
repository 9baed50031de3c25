import {StatusBarButtons} from "@web/views/form/status_bar_buttons/status_bar_buttons";
import {patch} from "@web/core/utils/patch";

/** Buttons of a run that stay beside its status; the others are in a menu. */
const IN_FRONT = 2;

/** So many buttons that they would hide the status of a run: all but the first go into a menu. */
patch(StatusBarButtons.prototype, {
    get isGathered() {
        const model = this.env.model;
        return (
            !this.env.isSmall &&
            model?.config?.resModel === "invoice.run" &&
            this.visibleSlotNames.length > IN_FRONT + 1
        );
    },

    get secondSlot() {
        return this.isGathered ? this.visibleSlotNames[1] : undefined;
    },

    get restSlots() {
        return this.visibleSlotNames.slice(this.isGathered ? IN_FRONT : 1);
    },
});

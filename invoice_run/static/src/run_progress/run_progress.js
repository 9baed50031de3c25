import {Component, onWillUnmount, useEffect, useState} from "@odoo/owl";
import {deserializeDateTime, formatDateTime} from "@web/core/l10n/dates";
import {_t} from "@web/core/l10n/translation";
import {browser} from "@web/core/browser/browser";
import {formatInteger} from "@web/views/fields/formatters";
import {registry} from "@web/core/registry";
import {standardWidgetProps} from "@web/views/widgets/standard_widget_props";
import {useService} from "@web/core/utils/hooks";

/** Milliseconds: look again at the latest after, at the earliest after, rate over. */
const LOOK_AGAIN = 5000;
const LOOK_EARLIEST = 1000;
const RATE_WINDOW = 60000;

/** A rate in documents per second, in words. */
export function formatRate(rate) {
    if (rate >= 1) {
        return _t("%s per second", formatInteger(Math.round(rate)));
    }
    return _t("%s per minute", formatInteger(Math.max(1, Math.round(rate * 60))));
}

/** What is left to wait, in words; a guess needs no more than one figure. */
export function formatRemaining(seconds) {
    if (seconds < 60) {
        return _t("less than a minute left");
    }
    if (seconds < 90 * 60) {
        return _t("about %s min left", Math.round(seconds / 60));
    }
    return _t("about %s h left", Math.round(seconds / 3600));
}

/**
 * Background work on the run of a form, as it goes on: the bus says when to look, and where no
 * message comes the widget looks by itself. The form is read anew when the work is done.
 */
export class RunProgress extends Component {
    static template = "invoice_run.RunProgress";
    static props = {...standardWidgetProps};

    setup() {
        this.orm = useService("orm");
        this.state = useState({progress: false, rate: 0});
        this.forget();
        this.listen();
        useEffect(
            () => {
                this.forget();
                if (this.isWorking) {
                    this.look();
                }
            },
            () => [this.resId, this.data.job]
        );
        onWillUnmount(() => {
            this.isGone = true;
            browser.clearTimeout(this.timer);
        });
    }

    listen() {
        const bus = useService("bus_service");
        // Not before it is mounted: what is never mounted is never unmounted.
        useEffect(
            () => {
                const onProgress = (message) => this.onProgress(message);
                bus.subscribe("invoice_run.progress", onProgress);
                return () => bus.unsubscribe("invoice_run.progress", onProgress);
            },
            () => []
        );
        useEffect(
            (id) => {
                if (id) {
                    bus.addChannel(`invoice.run_${id}`);
                    return () => bus.deleteChannel(`invoice.run_${id}`);
                }
            },
            () => [this.resId]
        );
    }

    get resId() {
        return this.props.record.resId;
    }

    get data() {
        return this.props.record.data;
    }

    get isWorking() {
        return Boolean(this.resId) && this.data.job !== "none";
    }

    forget() {
        this.samples = [];
        this.left = 0;
        this.state.progress = false;
        this.state.rate = 0;
    }

    onProgress({run_id, left}) {
        if (run_id === this.resId) {
            this.left = left || 0;
            this.lookIn(Math.max(0, LOOK_EARLIEST - (Date.now() - (this.lookedAt || 0))));
        }
    }

    lookIn(milliseconds) {
        browser.clearTimeout(this.timer);
        this.timer = browser.setTimeout(() => this.look(), milliseconds);
    }

    async look() {
        const resId = this.resId;
        this.lookedAt = Date.now();
        const progress = await this.orm.silent.call("invoice.run", "get_progress", [[resId]]);
        if (this.isGone || resId !== this.resId) {
            return;
        }
        const {job, state} = progress;
        if (job !== this.data.job || state !== this.data.state) {
            await this.reload();
        } else if (job !== "none") {
            this.show(progress);
        }
        if (!this.isGone && this.isWorking) {
            this.lookIn(LOOK_AGAIN);
        }
    }

    /** Read the form anew, unless somebody is typing in it: then after saving. */
    async reload() {
        const {record} = this.props;
        if (await record.isDirty()) {
            return;
        }
        const {resModel: model, resId: id} = record;
        if (this.env.chatter) {
            Object.assign(this.env.chatter, {fetchThreadData: true, fetchMessages: true});
        }
        // Not the model's: that would drop the reading of a button pressed at the same time.
        await record.load();
        this.env.bus.trigger("MAIL:RELOAD-THREAD", {model, id});
    }

    show(progress) {
        progress.total ||= this.left && progress.done + this.left;
        this.addSample(progress.done);
        this.state.progress = progress;
    }

    /** Work comes in chunks: the rate is that between the ends of two of them. */
    addSample(done) {
        const at = Date.now();
        if (this.samples.at(-1)?.done === done) {
            return;
        }
        const isRecent = (sample) => at - sample.at <= RATE_WINDOW;
        // The latest stays: a chunk may take longer than the window.
        this.samples = [...this.samples.slice(0, -1).filter(isRecent), ...this.samples.slice(-1)];
        this.samples.push({at, done});
        const [first] = this.samples;
        if (done > first.done) {
            this.state.rate = (1000 * (done - first.done)) / (at - first.at);
        }
    }

    get counts() {
        const {done, total, unit} = this.state.progress;
        const values = {done: formatInteger(done), total: formatInteger(total), unit};
        if (total) {
            return _t("%(done)s of %(total)s %(unit)s", values);
        }
        return done ? _t("%(done)s %(unit)s so far", values) : "";
    }

    get percent() {
        const {done, total} = this.state.progress;
        return total ? Math.min(100, Math.round((100 * done) / total)) : 0;
    }

    get details() {
        const {done, total, wait_until: until} = this.state.progress;
        if (until) {
            const moment = formatDateTime(deserializeDateTime(until), {showSeconds: false});
            return _t("Resumes at %s.", moment);
        }
        const {rate} = this.state;
        if (rate <= 0) {
            return done ? "" : _t("No result yet.");
        }
        const parts = [formatRate(rate)];
        if (total > done) {
            parts.push(formatRemaining((total - done) / rate));
        }
        return parts.join(", ");
    }
}

registry.category("view_widgets").add("invoice_run_progress", {
    component: RunProgress,
    fieldDependencies: [
        {name: "job", type: "selection"},
        {name: "state", type: "selection"},
    ],
});

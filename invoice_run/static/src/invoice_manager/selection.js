/**
 * Which rows are selected, without knowing them all: all but some, or some.
 *
 * The value is kept in the state of the component, so that a change is shown.
 */
export class Selection {
    constructor(state) {
        this.state = state;
        this.selectAll();
    }

    get value() {
        return {all: this.state.selection.all, ids: [...this.state.selection.ids]};
    }

    set value({all, ids}) {
        this.state.selection = {all, ids: new Set(ids)};
    }

    selectAll() {
        this.value = {all: true, ids: []};
    }

    get isAll() {
        return this.state.selection.all && !this.state.selection.ids.size;
    }

    get isNone() {
        return !this.state.selection.all && !this.state.selection.ids.size;
    }

    has(id) {
        return this.state.selection.all !== this.state.selection.ids.has(id);
    }

    add(ids) {
        this.set(ids, true);
    }

    remove(ids) {
        this.set(ids, false);
    }

    toggle(id) {
        this.set([id], !this.has(id));
    }

    toggleAll() {
        this.value = {all: !this.isAll, ids: []};
    }

    set(ids, selected) {
        const {all, ids: named} = this.value;
        const result = new Set(named);
        for (const id of ids) {
            if (all === selected) {
                result.delete(id);
            } else {
                result.add(id);
            }
        }
        this.value = {all, ids: result};
    }
}

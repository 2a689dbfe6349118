package boottest

import "encoding/binary"

// Addresses in the memory of the PC.
const (
	loadAddr   = 0x7C00 // where the BIOS loads the boot sector, and the stack's end
	tableAddr  = 0x7E00 // the copy of the table
	bufferAddr = 0x8000 // the sector that was read
)

// What the program leaves through isa-debug-exit; QEMU's status is twice that
// plus one.
const (
	debugPort  = 0xF4
	exitGood   = 0x10
	exitBad    = 0x11
	statusGood = exitGood<<1 | 1
	statusBad  = exitBad<<1 | 1
)

// What the program says over COM1.
const (
	sayGood    = "INGEST BOOT OK"
	sayContent = "INGEST BOOT BAD CONTENT AT LBA "
	sayUnread  = "INGEST BOOT CANNOT READ LBA "
)

const (
	sectorBytes = 512
	sectorWords = sectorBytes / 4
	// codeBytes is where a PC's partition table begins.
	codeBytes = 446
	// zeroFlag in a table's entry says that the sector must be zeros.
	zeroFlag = 1 << 63
	// maxEntries is how many entries fit between the count and the checksum.
	maxEntries = (sectorBytes - 16) / 8
)

// seal sets the last word of a sector so that its checksum is right.
func seal(s []byte) {
	var sum uint32
	for i := 0; i < sectorBytes-4; i += 4 {
		sum = (sum<<1 | sum>>31) + binary.LittleEndian.Uint32(s[i:])
	}
	binary.LittleEndian.PutUint32(s[sectorBytes-4:], -(sum<<1 | sum>>31))
}

// bootSector returns the boot sector.
func bootSector() []byte {
	a := &assembler{org: loadAddr, labels: map[string]int{}}
	begin(a)
	checkEntries(a)
	endings(a)
	routines(a)
	data(a)
	code := a.link()
	if len(code) > codeBytes {
		panic("boottest: the program reaches into the partition table")
	}
	s := make([]byte, sectorBytes)
	copy(s, code)
	s[510], s[511] = 0x55, 0xAA
	return s
}

// begin sets the processor up, reads the table and checks it.
func begin(a *assembler) {
	a.emit(0xFA)       // cli
	a.emit(0x31, 0xC0) // xor ax, ax
	a.emit(0x8E, 0xD8) // mov ds, ax
	a.emit(0x8E, 0xC0) // mov es, ax
	a.emit(0x8E, 0xD0) // mov ss, ax
	a.emit(0xBC, loadAddr&0xFF, loadAddr>>8)
	a.emit(0xFB)                        // sti
	a.emit(0xFC)                        // cld
	a.abs("begin", 0, 0xEA)             // jmp 0:begin
	a.emit(0, 0)                        // its segment
	a.label("begin")                    //
	a.abs("drive", 0, 0x88, 0x16)       // mov [drive], dl
	a.abs("lba", 0, 0x66, 0xC7, 0x06)   // mov dword [lba], 1
	a.emit(1, 0, 0, 0)                  //
	a.far("read", 0xE8)                 // call read
	a.far("sum", 0xE8)                  // call sum
	a.far("bad", 0x0F, 0x85)            // jnz bad
	a.emit(0xBE, 0, bufferAddr>>8)      // mov si, buffer
	a.emit(0xBF, 0, tableAddr>>8)       // mov di, table
	a.emit(0xB9, sectorWords, 0)        // mov cx, words
	a.emit(0xF3, 0x66, 0xA5)            // rep movsd
	a.emit(0x8B, 0x2E, 0, tableAddr>>8) // mov bp, [table]: the count
	a.emit(0x85, 0xED)                  // test bp, bp
	a.far("bad", 0x0F, 0x84)            // jz bad
	a.emit(0xBB, 8, tableAddr>>8)       // mov bx, first entry
}

// checkEntries reads and checks the sectors that the table names: BX is the
// entry, BP how many are left.
func checkEntries(a *assembler) {
	a.label("entry")
	a.emit(0x66, 0x8B, 0x07)                   // mov eax, [bx]
	a.abs("lba", 0, 0x66, 0xA3)                // mov [lba], eax
	a.emit(0x66, 0x8B, 0x57, 4)                // mov edx, [bx+4]
	a.emit(0x66, 0x0F, 0xBA, 0xF2, 31)         // btr edx, 31: the zero flag
	a.abs("zero", 0, 0x0F, 0x92, 0x06)         // setc [zero]
	a.abs("lba", 4, 0x66, 0x89, 0x16)          // mov [lba+4], edx
	a.far("read", 0xE8)                        // call read
	a.abs("zero", 0, 0x80, 0x3E)               // cmp byte [zero], 0
	a.emit(0)                                  //
	a.jump(0x75, "zeros")                      // jne zeros
	a.abs("lba", 0, 0x66, 0xA1)                // mov eax, [lba]
	a.emit(0x66, 0x3B, 0x06, 0, bufferAddr>>8) // cmp eax, [buffer]
	a.jump(0x75, "bad")                        // jne bad
	a.abs("lba", 4, 0x66, 0xA1)                // mov eax, [lba+4]
	a.emit(0x66, 0x3B, 0x06, 4, bufferAddr>>8) // cmp eax, [buffer+4]
	a.jump(0x75, "bad")                        // jne bad
	a.far("sum", 0xE8)                         // call sum
	a.jump(0x75, "bad")                        // jnz bad
	a.jump(0xEB, "next")                       // jmp next
	a.label("zeros")                           //
	a.emit(0xBF, 0, bufferAddr>>8)             // mov di, buffer
	a.emit(0xB9, sectorWords, 0)               // mov cx, words
	a.emit(0x66, 0x31, 0xC0)                   // xor eax, eax
	a.emit(0xF3, 0x66, 0xAF)                   // repe scasd
	a.jump(0x75, "bad")                        // jne bad
	a.label("next")                            //
	a.emit(0x83, 0xC3, 8)                      // add bx, 8
	a.emit(0x4D)                               // dec bp
	a.jump(0x75, "entry")                      // jnz entry
}

// endings say what was found and leave.
func endings(a *assembler) {
	a.abs("good", 0, 0xBE)  // mov si, good
	a.far("puts", 0xE8)     // call puts
	a.emit(0xB0, exitGood)  // mov al, exitGood
	a.label("exit")         //
	a.emit(0xE6, debugPort) // out debugPort, al
	a.emit(0xFA, 0xF4)      // cli; hlt

	a.label("unread")
	a.abs("cannot", 0, 0xBE) // mov si, cannot
	a.jump(0xEB, "report")   // jmp report
	a.label("bad")
	a.abs("wrong", 0, 0xBE) // mov si, wrong
	a.label("report")
	a.far("puts", 0xE8)               // call puts
	a.abs("lba", 4, 0x66, 0x8B, 0x1E) // mov ebx, [lba+4]
	a.far("hex", 0xE8)                // call hex
	a.abs("lba", 0, 0x66, 0x8B, 0x1E) // mov ebx, [lba]
	a.far("hex", 0xE8)                // call hex
	a.abs("line", 0, 0xBE)            // mov si, line
	a.far("puts", 0xE8)               // call puts
	a.emit(0xB0, exitBad)             // mov al, exitBad
	a.jump(0xEB, "exit")              // jmp exit
}

// routines are what the program calls. read keeps all registers, the others
// none but BX, BP and SP, except that hex takes EBX.
func routines(a *assembler) {
	a.label("read")                // the sector at lba, into the buffer
	a.emit(0x60)                   // pusha
	a.abs("packet", 0, 0xBE)       // mov si, packet
	a.abs("drive", 0, 0x8A, 0x16)  // mov dl, [drive]
	a.emit(0xB4, 0x42, 0xCD, 0x13) // mov ah, 42h; int 13h: extended read
	a.emit(0x61)                   // popa
	a.jump(0x72, "unread")         // jc unread
	a.emit(0xC3)                   // ret

	a.label("sum")                 // of the buffer: ZF is set if it is right
	a.emit(0xBE, 0, bufferAddr>>8) // mov si, buffer
	a.emit(0xB9, sectorWords, 0)   // mov cx, words
	a.emit(0x66, 0x31, 0xD2)       // xor edx, edx
	a.label("word")                //
	a.emit(0x66, 0xAD)             // lodsd
	a.emit(0x66, 0xD1, 0xC2)       // rol edx, 1
	a.emit(0x66, 0x01, 0xC2)       // add edx, eax
	a.jump(0xE2, "word")           // loop word
	a.emit(0x66, 0x85, 0xD2)       // test edx, edx
	a.emit(0xC3)                   // ret

	a.label("puts")         // the string at SI, up to a zero
	a.emit(0xAC)            // lodsb
	a.emit(0x84, 0xC0)      // test al, al
	a.jump(0x74, "putsEnd") // jz putsEnd
	a.far("putc", 0xE8)     // call putc
	a.jump(0xEB, "puts")    // jmp puts

	a.label("putc")                // AL, once the line status register
	a.emit(0x88, 0xC4)             // mov ah, al
	a.emit(0xBA, 0xFD, 0x03)       // mov dx, 3FDh
	a.label("busy")                // says that the last byte is away
	a.emit(0xEC)                   // in al, dx
	a.emit(0xA8, 0x20)             // test al, 20h
	a.jump(0x74, "busy")           // jz busy
	a.emit(0x88, 0xE0)             // mov al, ah
	a.emit(0xBA, 0xF8, 0x03, 0xEE) // mov dx, 3F8h; out dx, al
	a.label("putsEnd")             //
	a.emit(0xC3)                   // ret

	a.label("hex")                 // EBX, eight digits
	a.emit(0xB9, 8, 0)             // mov cx, 8
	a.label("digit")               //
	a.emit(0x66, 0xC1, 0xC3, 4)    // rol ebx, 4
	a.emit(0x88, 0xD8, 0x24, 0x0F) // mov al, bl; and al, 0Fh
	a.emit(0x3C, 10)               // cmp al, 10
	a.jump(0x72, "decimal")        // jb decimal
	a.emit(0x04, 'A'-'0'-10)       // add al, from '9'+1 to 'A'
	a.label("decimal")             //
	a.emit(0x04, '0')              // add al, '0'
	a.far("putc", 0xE8)            // call putc
	a.jump(0xE2, "digit")          // loop digit
	a.emit(0xC3)                   // ret
}

// data is the packet of the extended read, the variables and the texts.
func data(a *assembler) {
	a.label("packet")
	a.emit(16, 0, 1, 0) // length of the packet; one sector
	a.emit(0, bufferAddr>>8, 0, 0)
	a.label("lba")
	a.emit(0, 0, 0, 0, 0, 0, 0, 0)
	a.label("drive")
	a.emit(0)
	a.label("zero")
	a.emit(0)
	for _, text := range [][2]string{{"good", sayGood + "\r\n"}, {"wrong", sayContent}, {"cannot", sayUnread}, {"line", "\r\n"}} {
		a.label(text[0])
		a.emit([]byte(text[1])...)
		a.emit(0)
	}
}
